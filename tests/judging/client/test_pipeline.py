"""The wrappers together: what costs nothing takes nothing, and what costs is counted once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.judging.chats import LocalChat, a_request
from tests.judging.virtual_time import run
from tvmerge._util.cache import ContentCache
from tvmerge.errors import BudgetError, ConfigError, OutageError, QuotaError, TransientError
from tvmerge.judging.client.budget import Budget
from tvmerge.judging.client.chat import ChatModel, ChatReply, ChatRequest, Usage
from tvmerge.judging.client.ledger import Ledger
from tvmerge.judging.client.pipeline import pipeline, prices_of
from tvmerge.judging.client.reask import UnusableError
from tvmerge.judging.client.request_policy import RequestPolicy
from tvmerge.judging.spec import JudgeSpec
from tvmerge.judging.wire.error_details import ErrorDetails
from tvmerge.judging.wire.http import ApiKey
from tvmerge.judging.wire.refusals import translate

GOOD = ChatReply("Rating: [[7]]", "stop", Usage(100, 20))


def spec_of(**settings: Any) -> JudgeSpec:
    values: dict[str, Any] = {"price_input": 1.0, "price_output": 10.0, "price_date": "2026-11-24"}
    return JudgeSpec("test", "openai", model="m", **{**values, **settings})


def answering(*replies: ChatReply | Exception, seconds: float = 0.0) -> LocalChat:
    """A model that replies with these, then well."""
    left = list(replies)

    async def answer(request: ChatRequest) -> ChatReply:
        await asyncio.sleep(seconds)
        reply = left.pop(0) if left else GOOD
        if isinstance(reply, Exception):
            raise reply
        return reply

    return LocalChat(answer)


async def send_all(chat: ChatModel, numbers: range) -> float:
    await asyncio.gather(*(chat.send(a_request(str(number))) for number in numbers))
    await chat.close()
    return asyncio.get_running_loop().time()


def test_hits_take_no_calls_no_money_and_no_rate(tmp_path: Path) -> None:
    ledger = Ledger()
    cache = ContentCache(tmp_path)
    budget = Budget(ledger, max_calls=10)
    for _ in range(3):
        model = answering()
        policy = RequestPolicy(cache=cache, ledger=ledger, budget=budget, rpm=10)
        run(send_all(pipeline(model, spec_of(), policy), range(10)))
    (usage,) = ledger.usage()
    assert (usage.calls, usage.hits) == (10, 20)
    assert usage.cost == pytest.approx(10 * 300e-6)
    cache.close()


def test_reasks_and_retries_are_metered_and_only_answered_calls_are_counted() -> None:
    ledger = Ledger()
    model = answering(TransientError("down", status=503), ChatReply("no rating", "stop", Usage(1, 1)))
    took = run(send_all(pipeline(model, spec_of(), RequestPolicy(ledger=ledger, rpm=1)), range(1)))
    (usage,) = ledger.usage()
    assert len(model.sent) == 3
    assert (usage.calls, usage.failures) == (2, 1)
    assert took >= 120


def test_places_and_rates_of_the_user_overrule_those_of_the_judge_file() -> None:
    spec = spec_of(concurrency=1, rpm=1)
    took = run(
        send_all(pipeline(answering(seconds=1.0), spec, RequestPolicy(concurrency=5, rpm=100)), range(10))
    )
    assert took == pytest.approx(2.0)
    took = run(send_all(pipeline(answering(seconds=1.0), spec_of(concurrency=2), RequestPolicy()), range(10)))
    assert took == pytest.approx(5.0)


def test_a_local_model_is_given_whole_batches() -> None:
    spec = JudgeSpec("test", "local", model="m", batch_size=8)
    took = run(send_all(pipeline(answering(seconds=1.0), spec, RequestPolicy(concurrency=1)), range(8)))
    assert took == pytest.approx(1.0)


def test_the_timeout_is_an_attempts_and_waiting_in_line_is_not_part_of_it() -> None:
    spec = spec_of(timeout=5.0)
    took = run(send_all(pipeline(answering(seconds=1.0), spec, RequestPolicy(rpm=1, patience=0)), range(3)))
    assert took > 120
    ledger = Ledger()
    with pytest.raises(OutageError, match="no reply within 5"):
        run(
            send_all(
                pipeline(answering(seconds=10.0), spec, RequestPolicy(ledger=ledger, patience=0)), range(1)
            )
        )
    assert (ledger.usage()[0].calls, ledger.usage()[0].failures) == (0, 1)
    assert ledger.cost == ledger.at_most > 4096 * 10e-6  # the provider may bill what it was sent


def test_a_budget_needs_a_price_only_where_it_limits_the_cost() -> None:
    spec = spec_of(price_input=None, price_output=None)
    ledger = Ledger()
    with pytest.raises(ConfigError, match="'test' has no price"):
        pipeline(answering(), spec, RequestPolicy(ledger=ledger, budget=Budget(ledger, max_cost=1.0)))
    chat = pipeline(answering(), spec, RequestPolicy(ledger=ledger, budget=Budget(ledger, max_calls=1)))
    run(send_all(chat, range(1)))
    assert ledger.usage()[0].cost is None


def test_a_budget_in_dollars_needs_a_limit_on_the_reply() -> None:
    policy = RequestPolicy(budget=Budget(Ledger(), max_cost=1.0))
    with pytest.raises(ConfigError, match="no limit on the length of a reply"):
        pipeline(answering(), spec_of(), policy)
    run(pipeline(answering(), spec_of(price_output=0.0), policy).close())
    run(pipeline(answering(), spec_of(), RequestPolicy(budget=Budget(Ledger(), max_calls=1))).close())


def test_calls_of_a_time_without_prices_count_once_there_are_some() -> None:
    ledger = Ledger()
    unpriced = spec_of(price_input=None, price_output=None)
    run(send_all(pipeline(answering(), unpriced, RequestPolicy(ledger=ledger)), range(3)))
    assert (ledger.cost, ledger.priced) == (0.0, False)
    for _ in range(2):
        run(pipeline(answering(), spec_of(), RequestPolicy(ledger=ledger)).close())
        assert ledger.cost == pytest.approx(3 * 300e-6)
        assert ledger.priced


def test_a_local_model_costs_nothing() -> None:
    prices = prices_of(JudgeSpec("test", "local", model="m"))
    assert prices is not None
    assert prices.cost(Usage(10**6, 10**6)) == 0


def test_what_is_over_the_budget_is_not_sent() -> None:
    ledger = Ledger()
    model = answering()
    chat = pipeline(model, spec_of(), RequestPolicy(ledger=ledger, budget=Budget(ledger, max_calls=3)))
    with pytest.raises(BudgetError):
        run(send_all(chat, range(5)))
    assert len(model.sent) == ledger.calls <= 3


def test_the_days_requests_are_counted_over_all_runs(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    run(send_all(pipeline(answering(), spec_of(rpd=3), RequestPolicy(ledger=Ledger(path))), range(2)))
    model = answering()
    with pytest.raises(QuotaError, match="3 requests a day"):
        run(send_all(pipeline(model, spec_of(rpd=3), RequestPolicy(ledger=Ledger(path))), range(2)))
    assert len(model.sent) == 1


def test_without_a_usable_reply_nothing_is_returned() -> None:
    useless = [ChatReply("none", "stop", Usage(1, 1))] * 3
    model = answering(*useless)
    with pytest.raises(UnusableError, match="no "):
        run(send_all(pipeline(model, spec_of(), RequestPolicy(reasks=2)), range(1)))
    assert len(model.sent) == 3


@pytest.mark.parametrize(
    "error",
    [
        TransientError("429", retry_after=3600.0, status=429),
        translate(
            429,
            ErrorDetails("50 requests per day"),
            headers={"retry-after": "3600"},
            key=ApiKey("k", "TEST_KEY"),
        ),
    ],
)
def test_a_quota_that_comes_back_is_waited_for_where_the_user_says_so(error: Exception) -> None:
    with pytest.raises(QuotaError):
        run(send_all(pipeline(answering(error), spec_of(), RequestPolicy()), range(1)))
    took = run(
        send_all(pipeline(answering(error, error), spec_of(), RequestPolicy(wait_for_quota=True)), range(1))
    )
    assert took >= 7200


def test_an_empty_account_is_not_waited_for() -> None:
    model = answering(QuotaError("no credit"))
    with pytest.raises(QuotaError, match="no credit"):
        run(send_all(pipeline(model, spec_of(), RequestPolicy(wait_for_quota=True)), range(1)))
