"""Asking in batches: what is sent, and what comes of it."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import replace

import pytest

from tests.judging.batch.asking import QUESTION, Asking, answer, expected, rate, shown
from tests.servers import anthropic_server, openai_server
from tests.servers.http import Response
from tvmerge._util.cache import ContentCache
from tvmerge.errors import ConfigError, CredentialsError, OutageError, QuotaError, UserError
from tvmerge.judging.batch.anthropic import AnthropicBatches
from tvmerge.judging.batch.collector import Collector
from tvmerge.judging.batch.openai import OpenAIBatches
from tvmerge.judging.batch.slot import Slot
from tvmerge.judging.judges.prompted import PromptedJudge
from tvmerge.records import Answer, Rating, Unrated
from tvmerge.run.rating_tasks import RatingTasks, all_rated


def sizes(asking: Asking) -> list[int]:
    """How many requests each batch has."""
    return [len(batch.requests) for batch in asking.server.batches.values()]


def test_what_is_asked_at_once_is_sent_in_one_batch_and_rated_as_it_would_be_alone(asking: Asking) -> None:
    assert asking.scores(20) == expected(20)
    assert sizes(asking) == [20]
    assert len(asking.server.billed) == 20
    (usage,) = asking.ledger().usage()
    assert (usage.calls, usage.batched, usage.failures) == (20, 20, 0)
    assert asking.scores(20) == expected(20)
    assert len(asking.server.billed) == 20
    assert not asking.store.exists()


def test_all_turns_of_an_answer_are_one_request_of_a_batch(asking: Asking) -> None:
    question = replace(QUESTION, turns=("数を一つ言って。", "その次は？"))

    async def ask() -> list[float]:
        with asking.judge() as (judge, _):
            ratings = RatingTasks(judge)
            tasks = [ratings.start(question, Answer("q", (f"{n}です。", f"{n + 1}です。"))) for n in range(3)]
            rated = await all_rated(tasks)
            await judge.close()
        return [j.score for _, judgments in rated for j in judgments if isinstance(j, Rating)]

    asking.together = True
    found = asyncio.run(ask())
    assert len(found) == 6
    assert sizes(asking) == [3]
    assert asyncio.run(ask()) == found
    assert len(asking.server.billed) == 3


def test_a_request_in_a_batch_costs_its_share_of_the_price(asking: Asking) -> None:
    asking.spec = {"price_batch": 0.25}
    asking.run(4)
    (usage,) = asking.ledger().usage()
    assert usage.cost == pytest.approx(4 * (100 + 20) * 0.25 / 1e6)


def test_what_is_asked_live_is_sent_alone_at_the_whole_price(asking: Asking) -> None:
    async def ask() -> None:
        with asking.judge() as (judge, batching):
            with batching.live():
                await rate(judge, [0])
            await judge.close()

    asyncio.run(ask())
    (usage,) = asking.ledger().usage()
    assert (usage.calls, usage.batched) == (1, 0)
    assert usage.cost == pytest.approx((100 + 20) / 1e6)
    assert not asking.server.batches


def test_nothing_is_sent_while_more_answers_are_being_made(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    added: list[Slot] = []
    add = Collector.add

    def watched(self: Collector, slot: Slot) -> None:
        added.append(slot)
        add(self, slot)

    async def ask() -> None:
        with asking.judge() as (judge, batching):
            with batching.hold():
                first = asyncio.create_task(rate(judge, [0, 1]))
                await asyncio.sleep(3 * batching.quiet)
                assert not asking.server.batches
                second = asyncio.create_task(rate(judge, [2]))
                async with asyncio.timeout(30):
                    while len(added) < 3:
                        await asyncio.sleep(0.01)
            await asyncio.gather(first, second)
            await judge.close()

    monkeypatch.setattr(Collector, "add", watched)
    asyncio.run(ask())
    assert sizes(asking) == [3]


def test_more_than_a_batch_takes_is_sent_in_several(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    for api in (OpenAIBatches, AnthropicBatches):
        monkeypatch.setattr(api, "most_requests", 4)
    assert asking.scores(10) == expected(10)
    assert sorted(sizes(asking)) == [2, 4, 4]


@pytest.mark.parametrize("lost", ["expired", "missing"])
def test_a_request_that_was_not_processed_is_put_into_another_batch(asking: Asking, lost: str) -> None:
    asking.server.answer = lambda prompt, number: lost if prompt == shown(1) and not number else None
    assert asking.scores(3) == expected(3)
    assert sizes(asking) == [3, 1]
    (usage,) = asking.ledger().usage()
    assert (usage.calls, usage.failures) == (3, 1)


def test_a_request_that_is_never_processed_is_given_up_after_four_batches(asking: Asking) -> None:
    asking.server.answer = lambda prompt, number: "expired" if prompt == shown(1) else None
    with pytest.raises(OutageError, match="4 batches"):
        asking.run(2)
    assert sizes(asking) == [2, 1, 1, 1]
    assert asking.server.billed == [shown(0)]


def test_a_text_that_is_refused_in_a_batch_is_rated_as_one_refused_alone(asking: Asking) -> None:
    words = "Your request was blocked by our content filter"
    refusal = (
        openai_server.error(400, words, code="content_filter")
        if asking.provider == "openai"
        else anthropic_server.error(400, "invalid_request_error", words)
    )
    asking.server.answer = lambda prompt, number: refusal if prompt == shown(1) else None
    judgments = asking.run(3)
    assert isinstance(judgments[1], Rating)
    assert (judgments[1].score, judgments[1].note) == (1, "refused by the provider")
    assert len(asking.server.billed) == 2


def test_many_texts_refused_among_others_do_not_stop_a_run(asking: Asking) -> None:
    refused = {shown(number) for number in range(0, 40, 2)}
    refusal = (
        openai_server.error(400, "no")
        if asking.provider == "openai"
        else anthropic_server.error(400, "invalid_request_error", "no")
    )
    asking.server.answer = lambda prompt, number: refusal if prompt in refused else None
    judgments = asking.run(40)
    assert [isinstance(judgment, Unrated) for judgment in judgments] == [n % 2 == 0 for n in range(40)]


@pytest.mark.parametrize("size", ["large", "small"])
def test_a_result_that_cannot_be_read_is_paid_for_once_and_costs_no_other_request_its_own(
    asking: Asking, size: str
) -> None:
    def spoilt(kind: str, response: Response) -> Response:
        if kind != "results" or not response.body:
            return response
        first, *others = response.body.splitlines()
        spoilt = first[:-1] + (" " * 5 * 2**20 + first[-1] if size == "large" else "")
        return replace(response, body="\n".join((spoilt, "[]", "17", *others)))

    asking.server.change, asking.options = spoilt, {"patience": 1.0}
    judgments = asking.run(4)
    assert [judgment.reason for judgment in judgments if isinstance(judgment, Unrated)] == [
        "the reply was not read: its result is too large or cannot be read"
    ]
    assert sizes(asking) == [4]
    (usage,) = asking.ledger().usage()
    assert (usage.calls, usage.failures) == (3, 1)
    assert usage.cost is not None
    assert usage.cost > 3 * 120 / 2e6


def test_results_larger_than_any_stay_with_the_provider(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    for provider in ("openai", "anthropic"):
        monkeypatch.setattr(f"tvmerge.judging.batch.{provider}.FILE_BYTES", 100)
    with pytest.raises(OutageError, match=r"cannot be read .* they remain with the provider"):
        asking.run(2)
    monkeypatch.undo()
    assert asking.scores(2) == expected(2)
    assert sizes(asking) == [2]


def test_results_that_nobody_asked_for_are_left_out_and_told(asking: Asking) -> None:
    asking.server.strangers = 2
    assert asking.scores(3) == expected(3)
    assert any("2 results without a request" in note for note in asking.notes)


def test_a_batch_that_somebody_cancels_stops_the_run_and_the_next_sends_the_rest(asking: Asking) -> None:
    word = "cancelled" if asking.provider == "openai" else "canceled"
    asking.server.answer = lambda prompt, number: word if prompt == shown(1) and not number else None
    with pytest.raises(OutageError, match="the batch was cancelled"):
        asking.run(3)
    assert asking.scores(3) == expected(3)
    assert sizes(asking) == [3, 1]
    assert len(asking.server.billed) == 3


def test_a_batch_that_is_not_done_in_time_stays_and_the_next_run_waits_for_it(asking: Asking) -> None:
    asking.server.polls = 2
    asking.patience = 0.5
    with pytest.raises(OutageError, match=r"--judge-batch-patience 0\.5 s; it remains"):
        asking.run(3)
    asking.patience = 60.0
    assert asking.scores(3) == expected(3)
    assert sizes(asking) == [3]
    assert len(asking.server.billed) == asking.ledger().requests == 3
    assert any(
        "at the latest: the batch batch_0 of judge judge (0 of 3 done" in line for line in asking.waits
    )


def test_ctrl_c_leaves_a_batch_with_its_provider_and_says_so(asking: Asking) -> None:
    asking.server.polls = 10**6
    asyncio.run(given_up(asking, 3))
    assert any("3 requests stay with the provider, in 1 batches" in note for note in asking.notes)
    assert asking.ledger().requests == 0
    asking.server.polls = 0
    assert asking.scores(3) == expected(3)
    assert sizes(asking) == [3]
    assert asking.ledger().requests == 3


async def given_up(asking: Asking, count: int) -> None:
    """A run that is cancelled while its batch is with the provider."""
    with asking.judge() as (judge, _):
        rating = asyncio.create_task(rate(judge, range(count)))
        while "poll" not in asking.server.calls:
            await asyncio.sleep(0.01)
        rating.cancel()
        with suppress(asyncio.CancelledError):
            await rating
        await judge.close()


def test_replies_that_cannot_be_stored_stay_in_the_list_of_batches_until_they_can(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise UserError("the cache folder cannot be written: the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(ContentCache, "put_packed", full)
        with pytest.raises(UserError, match="disk is full; the replies that were paid for are kept with the"):
            asking.run(3)
    assert asking.scores(3) == expected(3)
    assert len(asking.server.billed) == asking.ledger().requests == 3
    assert not asking.store.exists()


@pytest.mark.parametrize("result", ["'{'", "'[7]'", "CAST(x'ff' AS TEXT)", "7", "NULL"])
def test_stored_results_that_are_damaged_are_fetched_again_and_not_paid_for_again(
    openai: Asking, result: str
) -> None:
    openai.server.polls = 10**6
    asyncio.run(given_up(openai, 3))
    openai.server.polls = 0
    with closing(sqlite3.connect(openai.store)) as database, database:
        database.execute("UPDATE batches SET received = 1")
        database.execute(f"UPDATE requests SET result = {result}")
    assert openai.scores(3) == expected(3)
    assert len(openai.server.billed) == 3
    assert any("results of the batch" in note and "damaged" in note for note in openai.notes)


def test_requests_with_the_provider_count_in_the_budget_of_the_next_run(asking: Asking) -> None:
    asking.server.polls = 10**6
    asyncio.run(given_up(asking, 3))
    asking.server.polls, asking.max_calls = 0, 5

    async def ask() -> list[BaseException | object]:
        with asking.judge() as (judge, _):
            # What is new comes first: it must not take the place of what was sent.
            numbers = [5, 4, 3, 2, 1, 0]
            works = (judge.judge(QUESTION, answer(number)) for number in numbers)
            outcomes = await asyncio.gather(*works, return_exceptions=True)
            await judge.close()
            return list(outcomes)

    outcomes = asyncio.run(ask())
    assert sum(isinstance(outcome, BaseException) for outcome in outcomes) == 1
    assert len(asking.server.billed) == asking.ledger().requests == 5


TWO: tuple[dict[str, object], ...] = ({"temperature": 0.0}, {"temperature": 1.0})
"""Parameters of two judges of one model."""


async def rated_by(judges: Sequence[PromptedJudge], *numbers: Sequence[int]) -> None:
    """Have each judge rate the answers of its numbers, the next one when the others have sent theirs."""
    ratings = []
    try:
        for judge, wanted in zip(judges, numbers, strict=True):
            ratings.append(asyncio.create_task(rate(judge, wanted)))
            await asyncio.sleep(0.5)
        await asyncio.gather(*ratings)
    finally:
        for rating in ratings:
            rating.cancel()
        await asyncio.gather(*ratings, return_exceptions=True)
        for judge in judges:
            await judge.close()


def test_two_judges_of_one_model_leave_each_others_batches_alone(asking: Asking) -> None:
    asking.server.polls, asking.max_calls = 2, 5

    async def both() -> None:
        with asking.judges(*TWO) as (judges, _):
            await rated_by(judges, [0, 1, 2], [0, 1])

    asyncio.run(both())
    assert sizes(asking) == [3, 2]
    assert asking.ledger().requests == len(asking.server.billed) == 5
    assert not asking.store.exists()


def test_a_batch_that_is_being_sent_stays_recorded_while_a_judge_of_the_same_model_begins(
    openai: Asking,
) -> None:
    openai.server.polls = 10**6

    def slow(kind: str, response: Response) -> Response:
        if kind == "upload":
            time.sleep(1.0)
        return response

    openai.server.change = slow

    async def both() -> None:
        with openai.judges(*TWO) as (judges, _):
            rating = asyncio.create_task(rated_by(judges, [0, 1, 2], [0]))
            while len(openai.server.batches) < 2:
                await asyncio.sleep(0.01)
            rating.cancel()
            await asyncio.gather(rating, return_exceptions=True)

    asyncio.run(both())
    with closing(sqlite3.connect(openai.store)) as database:
        counts = database.execute("SELECT count(*) FROM requests GROUP BY batch ORDER BY batch").fetchall()
    assert counts == [(3,), (1,)]


@pytest.mark.parametrize("first", [0, 1])
def test_what_two_judges_of_one_model_left_is_used_whichever_begins(asking: Asking, first: int) -> None:
    asking.server.polls, asking.patience = 10**6, 0.0

    async def both(order: int, numbers: Sequence[int]) -> None:
        with asking.judges(*TWO) as (judges, _):
            await rated_by([judges[order], judges[1 - order]], numbers, numbers)

    with pytest.raises(OutageError):
        asyncio.run(both(0, [0, 1, 2]))
    asking.server.polls, asking.patience, asking.max_calls = 0, 60.0, 6
    asyncio.run(both(first, [0, 1, 2]))
    assert sizes(asking) == [3, 3]
    assert asking.ledger().requests == len(asking.server.billed) == 6
    assert not asking.store.exists()


def test_a_server_without_batches_is_refused_before_anything_is_asked(asking: Asking) -> None:
    asking.server.refuse = lambda kind: Response({"detail": "Not Found"}, status=404)
    with pytest.raises(
        ConfigError, match=r"'judge' cannot be asked in batches.*404.*leave --judge-batch out"
    ):
        asking.run(1)
    assert asking.server.calls == ["list"]
    assert len(asking.server.requests) == 1


def test_a_key_that_is_refused_is_told_before_anything_is_asked(asking: Asking) -> None:
    asking.server.refuse = lambda kind: openai_server.error(401, "Incorrect API key provided")
    with pytest.raises(CredentialsError, match="TEST_KEY"):
        asking.run(1)
    assert asking.server.calls == ["list"]


def test_an_openai_batch_that_is_refused_stops_the_run_with_the_providers_words(openai: Asking) -> None:
    openai.server.fail = lambda number: {"code": "invalid_json_line", "message": "Line 1 is odd", "line": 1}
    with pytest.raises(ConfigError, match=r"refuses the batch batch_0.*Line 1 is odd.*nothing was bill"):
        openai.run(3)
    assert openai.ledger().requests == 0
    openai.server.fail = lambda number: None
    assert openai.scores(3) == expected(3)


def test_a_batch_that_is_too_much_at_once_is_sent_in_halves(openai: Asking) -> None:
    limit = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached"}
    openai.server.fail = lambda number: limit if number > 2 else None
    assert openai.scores(6) == expected(6)
    assert sizes(openai) == [6, 3, 1, 2, 3, 1, 2]
    assert len(openai.server.billed) == openai.ledger().requests == 6
    openai.server.fail = lambda number: limit
    with pytest.raises(QuotaError, match=r"Enqueued token limit reached.*run again when other batches have"):
        openai.run(8)
    assert openai.ledger().requests == 6
