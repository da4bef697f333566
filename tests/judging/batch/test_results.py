"""Results of a batch that contradict each other, or what the provider says of the batch."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.judging.batch.asking import Asking, expected
from tests.servers import anthropic_server, openai_server
from tests.servers.http import Response
from tvmerge.errors import OutageError
from tvmerge.records import Judgment, Rating, Unrated

Row = dict[str, Any]
_PAGE = "<html><head><title>Sign in</title></head></html>"
_SHORT = {"patience": 0.3, "reasks": 0}


def results(change: Callable[[list[Row]], list[Row]]) -> Callable[[str, Response], Response]:
    """Sends the results as they are changed, where there are any."""

    def changed(kind: str, response: Response) -> Response:
        if kind != "results" or not response.body:
            return response
        rows = change([json.loads(line) for line in response.body.splitlines()])
        return replace(response, body="".join(f"{json.dumps(row)}\n" for row in rows))

    return changed


def replied(asking: Asking, key: str, text: str) -> Row:
    """A result with this reply."""
    if asking.provider == "openai":
        body = openai_server.completion(text).body
        return {"custom_id": key, "response": {"status_code": 200, "body": body}, "error": None}
    body = anthropic_server.message(text).body
    return {"custom_id": key, "result": {"type": "succeeded", "message": body}}


def expired(asking: Asking, key: str) -> Row:
    """A result that says that a request was not processed."""
    if asking.provider == "openai":
        return {"custom_id": key, "response": None, "error": {"code": "batch_expired"}}
    return {"custom_id": key, "result": {"type": "expired"}}


def reasons(judgments: list[Judgment]) -> list[str]:
    return [judgment.reason for judgment in judgments if isinstance(judgment, Unrated)]


@pytest.mark.parametrize("more", [["[[2]]"], ["[[2]]", "[[3]]"], ["[[2]]", ""]])
def test_two_different_replies_to_a_request_are_none_and_cost_no_other_its_own(
    asking: Asking, more: list[str]
) -> None:
    """Nor is one of them, if it comes again after the others: an empty text stands for the first one."""

    def several(rows: list[Row]) -> list[Row]:
        key = rows[0]["custom_id"]
        return [*rows, *(replied(asking, key, text) if text else rows[0] for text in more)]

    asking.options = _SHORT
    asking.server.change = results(several)
    judgments = asking.run(3)
    assert reasons(judgments) == ["the reply was not read: the batch has several replies to it, which differ"]
    assert sum(isinstance(judgment, Rating) for judgment in judgments) == 2
    assert len(asking.server.billed) == asking.ledger().requests == 3


def test_the_same_reply_twice_is_one(asking: Asking) -> None:
    asking.server.change = results(lambda rows: rows + rows)
    assert asking.scores(3) == expected(3)
    assert asking.ledger().requests == 3


@pytest.mark.parametrize("first", [True, False])
def test_a_reply_counts_before_a_failure_of_the_same_request(asking: Asking, first: bool) -> None:
    def both(rows: list[Row]) -> list[Row]:
        failure = expired(asking, rows[0]["custom_id"])
        return [failure, *rows] if first else [*rows, failure]

    asking.server.change = results(both)
    assert asking.scores(3) == expected(3)
    assert len(asking.server.billed) == asking.ledger().requests == 3


@pytest.mark.parametrize("first", [True, False])
def test_a_result_that_cannot_be_read_may_be_billed_whatever_else_is_said_of_it(
    asking: Asking, first: bool
) -> None:
    def both(rows: list[Row]) -> list[Row]:
        unread, *others = rows
        found = [expired(asking, unread["custom_id"]), {"custom_id": unread["custom_id"], "response": 7}]
        return [*(found if first else reversed(found)), *others]

    asking.options = _SHORT
    asking.server.change = results(both)
    assert reasons(asking.run(3)) == ["the reply was not read: its result is too large or cannot be read"]
    assert len(asking.server.billed) == asking.ledger().requests == 3


@pytest.mark.parametrize("kept", [0, 2])
def test_what_was_processed_and_is_not_in_the_results_is_fetched_later_and_not_sent_again(
    asking: Asking, kept: int
) -> None:
    asking.options = _SHORT
    asking.server.change = results(lambda rows: rows[:kept])
    with pytest.raises(OutageError, match=rf"{3 - kept} results of the batch batch_0 are missing.*run again"):
        asking.run(3)
    assert asking.ledger().requests == 0
    asking.server.change = lambda kind, response: response
    assert asking.scores(3) == expected(3)
    assert len(asking.server.billed) == asking.ledger().requests == 3


def test_a_page_in_the_place_of_the_results_is_not_taken_for_none(asking: Asking) -> None:
    asking.options = _SHORT
    asking.server.change = lambda kind, response: Response(_PAGE) if kind == "results" else response
    with pytest.raises(OutageError, match="3 results of the batch batch_0 are missing"):
        asking.run(3)
    assert len(asking.server.billed) == 3


def test_results_that_are_there_a_little_later_are_awaited(asking: Asking) -> None:
    looks = []

    def late(kind: str, response: Response) -> Response:
        if kind != "poll":
            return response
        looks.append(kind)
        unnamed = dict.fromkeys(("output_file_id", "error_file_id", "results_url"))
        return replace(response, body={**response.body, **unnamed}) if len(looks) < 3 else response

    asking.server.change = late
    assert asking.scores(3) == expected(3)
    assert len(asking.server.billed) == asking.ledger().requests == 3


@pytest.mark.parametrize("status", [True, 0, -1, 199, 600, 10**9, 200.0, "200", None])
def test_a_status_that_is_none_scores_nothing_and_is_not_sent_again(openai: Asking, status: object) -> None:
    def odd(rows: list[Row]) -> list[Row]:
        first, *others = rows
        return [{**first, "response": {**first["response"], "status_code": status}}, *others]

    openai.options = _SHORT
    openai.server.change = results(odd)
    judgments = openai.run(3)
    assert reasons(judgments) == ["the reply was not read: its result is too large or cannot be read"]
    assert len(openai.server.billed) == openai.ledger().requests == 3


def test_a_result_of_an_unknown_form_is_entered_at_its_most_and_not_sent_again(asking: Asking) -> None:
    def odd(rows: list[Row]) -> list[Row]:
        first, *others = rows
        return [{"custom_id": first["custom_id"], "response": 7, "result": {"type": "unknown"}}, *others]

    asking.options = _SHORT
    asking.server.change = results(odd)
    assert len(reasons(asking.run(3))) == 1
    (usage,) = asking.ledger().usage()
    assert (usage.calls, usage.failures) == (2, 1)
    assert usage.cost is not None
    assert usage.cost > 2 * 120 / 2e6
    assert len(asking.server.billed) == 3
