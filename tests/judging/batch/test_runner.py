"""A batch is made once, though answers get lost, calls fail and runs are killed."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from tests.judging.batch.asking import KEY, Asking, expected
from tests.servers.http import Response
from tvmerge._util.cache import ContentCache
from tvmerge.errors import ConfigError, OutageError, ProviderError, QuotaError, UserError
from tvmerge.judging.batch import runner


@pytest.fixture(autouse=True)
def _settled_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "SETTLING", 0.5)


def theirs(number: int) -> dict[str, Any]:
    """Somebody else's request."""
    return {"messages": [{"role": "user", "content": f"their text {number}"}]}


def at_first(kind: str, response: Response) -> Callable[[str], Response | None]:
    """Sends `response` to the first call of a kind."""
    calls = count()
    return lambda asked: response if asked == kind and next(calls) == 0 else None


def lose(kind: str, breakage: Response) -> Callable[[str, Response], Response]:
    """Sends `breakage` in the place of the first response of a kind."""
    first = at_first(kind, breakage)
    return lambda asked, response: first(asked) or response


@pytest.mark.parametrize("status", [None, 500, 504])
def test_a_batch_whose_making_was_answered_by_a_failure_is_found_and_not_made_again(
    asking: Asking, status: int | None
) -> None:
    failure = Response({}, breakage="reset") if status is None else Response({"error": "down"}, status=status)
    asking.server.change = lose("create", failure)
    assert asking.scores(4) == expected(4)
    assert asking.server.calls.count("create") == 1
    assert len(asking.server.batches) == 1
    assert len(asking.server.billed) == 4


def test_a_batch_that_was_not_made_is_made_when_the_provider_does_not_list_it(asking: Asking) -> None:
    asking.server.refuse = at_first("create", Response({}, breakage="reset"))
    assert asking.scores(4) == expected(4)
    assert asking.server.calls.count("create") == 2
    assert len(asking.server.batches) == 1


def test_somebody_elses_batch_of_the_same_size_is_not_taken_for_ones_own(asking: Asking) -> None:
    strangers = [(f"theirs-{number}", theirs(number)) for number in range(4)]
    asking.server.make(strangers)
    asking.server.refuse = at_first("create", Response({}, breakage="reset"))
    assert asking.scores(4) == expected(4)
    assert [len(batch.requests) for batch in asking.server.batches.values()] == [4, 4]


def test_a_batch_is_found_beyond_the_first_page_of_the_list(asking: Asking) -> None:
    asking.server.change = lose("create", Response({}, breakage="reset"))

    def crowd(kind: str) -> None:
        if kind == "list" and asking.server.batches:
            for number in range(150 if len(asking.server.batches) == 1 else 0):
                asking.server.make([(f"theirs-{number}", theirs(number))])

    asking.server.refuse = crowd
    assert asking.scores(4) == expected(4)
    assert asking.server.calls.count("create") == 1


def test_a_provider_that_asks_to_wait_before_it_makes_a_batch_is_asked_again_and_not_searched(
    asking: Asking,
) -> None:
    busy = Response({"error": {"message": "slow down"}}, status=429, headers={"retry-after": "0"})
    asking.server.refuse = at_first("create", busy)
    assert asking.scores(4) == expected(4)
    assert asking.server.calls.count("create") == 2
    assert asking.server.calls.count("list") == 1


def test_a_wait_longer_than_the_patience_ends_the_run(asking: Asking) -> None:
    busy = Response({"error": {"message": "slow down"}}, status=429, headers={"retry-after": "5000"})
    asking.server.refuse = at_first("create", busy)
    with pytest.raises(QuotaError, match="asks to wait 5000 s"):
        asking.run(4)
    assert not asking.server.batches
    assert asking.ledger().requests == 0


def test_a_batch_in_doubt_is_not_waited_for_as_long_as_the_clock_was_set_back(asking: Asking) -> None:
    asking.options = {"patience": 0.0}
    asking.server.refuse = at_first("create", Response({}, breakage="reset"))
    with pytest.raises(OutageError):
        asking.run(4)
    with closing(sqlite3.connect(asking.store)) as database, database:
        database.execute("UPDATE batches SET planned = planned + 3600, tried = tried + 3600")
    started = time.monotonic()
    assert asking.scores(4) == expected(4)
    assert time.monotonic() - started < 600, "an hour is waited for"
    assert len(asking.server.billed) == 4


@pytest.mark.parametrize("kind", ["poll", "results"])
@pytest.mark.parametrize("breakage", ["reset", "truncate", None])
def test_calls_that_fail_are_made_again(asking: Asking, kind: str, breakage: str | None) -> None:
    failure = Response({"error": "down"}, status=502) if breakage is None else broken(breakage)
    asking.server.change = lose(kind, failure)
    assert asking.scores(4) == expected(4)
    assert len(asking.server.billed) == asking.ledger().requests == 4


def broken(breakage: str) -> Response:
    return Response({"id": "batch_0"}, breakage="reset" if breakage == "reset" else "truncate")


def test_a_provider_that_keeps_failing_ends_the_run_and_the_next_goes_on(asking: Asking) -> None:
    asking.options = {"patience": 0.0}
    asking.server.refuse = lambda kind: Response({"error": "down"}, status=503) if kind == "poll" else None
    with pytest.raises(OutageError, match="remains with it: run again"):
        asking.run(4)
    asking.server.refuse = lambda kind: None
    assert asking.scores(4) == expected(4)
    assert len(asking.server.batches) == 1
    assert asking.ledger().requests == 4


_MONTH = 31 * 86400.0


def aged(asking: Asking) -> None:
    """What the run left, as if a month had passed, or as if the clock said so."""
    with closing(sqlite3.connect(asking.store)) as database, database:
        database.execute("UPDATE batches SET planned = planned - ?, tried = tried - ?", (_MONTH, _MONTH))


def left(asking: Asking, *, received: bool) -> None:
    """A run that ended after its batch was made, or before the results it received were stored."""
    if received:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(ContentCache, "put_packed", full)
            with pytest.raises(UserError, match="full"):
                asking.run(4)
    else:
        asking.patience, asking.server.polls = 0.0, 1
        with pytest.raises(OutageError):
            asking.run(4)
    asking.patience = 60.0


def full(*_: object) -> None:
    raise UserError("the disk is full")


@pytest.mark.parametrize("received", [False, True])
def test_a_batch_of_a_month_ago_is_not_forgotten(asking: Asking, received: bool) -> None:
    left(asking, received=received)
    aged(asking)
    assert asking.scores(4) == expected(4)
    assert len(asking.server.billed) == asking.ledger().requests == 4


@pytest.mark.parametrize("kind", ["poll", "results"])
def test_a_batch_that_a_provider_has_deleted_since_is_entered_at_its_most_and_sent_again(
    asking: Asking, kind: str
) -> None:
    left(asking, received=False)
    aged(asking)
    missing = Response({"error": {"message": "No such batch"}}, status=404)
    asking.server.refuse = at_first(kind, missing)
    assert asking.scores(4) == expected(4)
    assert len(asking.server.billed) == asking.ledger().requests == 8
    (usage,) = asking.ledger().usage()
    assert (usage.calls, usage.failures) == (4, 4)
    assert usage.cost is not None
    assert usage.cost > 4 * 1e-6 * 500, "what was billed before is in it"


def test_a_batch_that_the_key_does_not_know_is_not_sent_again(asking: Asking) -> None:
    asking.patience = 0.0
    asking.server.polls = 1
    with pytest.raises(OutageError):
        asking.run(4)
    missing = Response({"error": {"message": "No such batch"}}, status=404)
    asking.server.refuse = lambda kind: missing if kind == "poll" else None
    with pytest.raises(UserError, match=r"does not know the batch batch_0.*No such batch.*batches\.db away"):
        asking.run(4)
    assert len(asking.server.batches) == 1


@pytest.mark.parametrize(
    "answer",
    [
        *map(Response, ([], 7, None, {"id": 7}, {"hello": 1}, {"error": {"message": "no"}})),
        Response({"id": 7}, headers={"content-encoding": "br"}),
        Response({"id": "a" * 2**22}),
    ],
)
def test_a_batch_whose_making_was_answered_by_something_else_is_looked_for(
    asking: Asking, answer: Response
) -> None:
    asking.server.change = lambda kind, response: answer if kind == "create" else response
    with pytest.raises((ProviderError, OutageError)):
        asking.run(3)
    asking.server.change = lambda kind, response: response
    assert asking.scores(3) == expected(3)
    assert len(asking.server.billed) == asking.ledger().requests == 3


@pytest.mark.parametrize("change", [{"id": "another"}, {"id": 7}, {"id": f"batch-{KEY}"}, {"id": "\x1b[31m"}])
def test_a_description_of_another_batch_is_not_taken_for_that_of_ones_own(
    asking: Asking, change: Mapping[str, object]
) -> None:
    def other(kind: str, response: Response) -> Response:
        return replace(response, body={**response.body, **change}) if kind == "poll" else response

    asking.options, asking.server.change = {"patience": 0.3}, other
    with pytest.raises(OutageError, match="remains with it: run again") as raised:
        asking.run(3)
    said = "".join((str(raised.value), *asking.waits))
    assert KEY not in said
    assert "\x1b" not in said
    asking.server.change = lambda kind, response: response
    assert asking.scores(3) == expected(3)
    assert len(asking.server.billed) == asking.ledger().requests == 3


def test_a_key_in_the_place_of_a_batchs_id_is_not_stored(asking: Asking) -> None:
    def named(kind: str, response: Response) -> Response:
        return replace(response, body={**response.body, "id": KEY}) if kind == "create" else response

    asking.server.change = named
    with pytest.raises(ProviderError) as raised:
        asking.run(3)
    assert KEY not in str(raised.value)
    assert KEY.encode() not in asking.store.read_bytes()


def test_a_provider_that_keeps_asking_for_short_waits_is_waited_for_as_long_as_the_patience(
    asking: Asking,
) -> None:
    busy = Response({"error": {"message": "slow down"}}, status=429, headers={"retry-after": "0"})
    asking.options = {"patience": 0.5, "wait_for_quota": True}
    asking.server.refuse = lambda kind: busy if kind == "poll" else None
    with pytest.raises(OutageError, match="slow down"):
        asking.run(3)


def test_a_page_in_the_place_of_the_list_of_batches_is_told_at_once(asking: Asking) -> None:
    asking.server.refuse = lambda kind: Response("<html><title>Welcome</title></html>")
    with pytest.raises(ConfigError, match=r"cannot be asked in batches.*'Welcome'.*leave --judge-batch out"):
        asking.run(1)
    assert asking.server.calls == ["list"]
