"""The user's limits on cost and calls."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.judging.chats import LocalChat
from tvmerge.errors import BudgetError, ConfigError, TransientError
from tvmerge.judging.client.budget import Budget, BudgetedChat
from tvmerge.judging.client.chat import ChatReply, ChatRequest, Usage
from tvmerge.judging.client.ledger import Ledger, Prices
from tvmerge.judging.client.ledger_chat import LedgerChat
from tvmerge.judging.prompts.reply_format import RatingFormat

PRICES = Prices(0.0, 100.0)
MOST = 0.1
"""USD that a request of at most 1,000 output tokens may cost."""


def a_call(number: int) -> ChatRequest:
    return ChatRequest("test", "nowhere", {"user": str(number), "max_tokens": 1000}, RatingFormat())


def spending(ledger: Ledger, budget: Budget, tokens: int) -> BudgetedChat:
    """A chat model whose calls are billed `tokens` output tokens."""

    async def answer(request: ChatRequest) -> ChatReply:
        await asyncio.sleep(0)
        return ChatReply("[[1]]", "stop", Usage(10, tokens))

    return BudgetedChat(LedgerChat(LocalChat(answer), ledger, "a", prices=PRICES), budget, PRICES)


async def send(chat: BudgetedChat, calls: int) -> Sequence[ChatReply | BaseException]:
    return await asyncio.gather(*(chat.send(a_call(n)) for n in range(calls)), return_exceptions=True)


async def test_as_many_calls_are_made_as_allowed() -> None:
    ledger = Ledger()
    outcomes = await send(spending(ledger, Budget(ledger, max_calls=5), 500), 20)
    assert ledger.calls == 5
    assert sum(isinstance(outcome, ChatReply) for outcome in outcomes) == 5
    assert {type(outcome) for outcome in outcomes} == {ChatReply, BudgetError}
    with pytest.raises(
        BudgetError, match=r"budget of 5 judge calls is used up \(5 made\); raise --max-judge-calls"
    ):
        await spending(ledger, Budget(ledger, max_calls=5), 500).send(a_call(0))


@given(st.integers(0, 1000), st.floats(0.01, 1.0), st.integers(1, 30))
def test_the_cost_never_exceeds_the_budget_and_uses_it_up(tokens: int, limit: float, calls: int) -> None:
    ledger = Ledger()
    outcomes = asyncio.run(send(spending(ledger, Budget(ledger, max_cost=limit), tokens), calls))
    assert ledger.cost <= limit
    if any(isinstance(outcome, BudgetError) for outcome in outcomes):
        assert ledger.cost + MOST > limit


async def test_a_larger_budget_goes_on_where_the_smaller_ended(tmp_path: Path) -> None:
    for limit, calls in ((3, 3), (3, 3), (7, 7)):
        ledger = Ledger(tmp_path / "ledger.jsonl")
        await send(spending(ledger, Budget(ledger, max_calls=limit), 500), 10)
        assert ledger.calls == calls


@pytest.mark.parametrize(("sent", "made"), [(True, 4), (False, 1)])
async def test_a_call_that_fails_costs_nothing_and_counts_where_it_was_sent(sent: bool, made: int) -> None:
    async def fail(request: ChatRequest) -> ChatReply:
        raise TransientError("down", sent=sent)

    ledger = Ledger()
    budget = Budget(ledger, max_calls=4, max_cost=MOST)
    chat = BudgetedChat(LedgerChat(LocalChat(fail), ledger, "a", prices=PRICES), budget, PRICES)
    for _ in range(3):
        with pytest.raises(TransientError):
            await chat.send(a_call(0))
    assert isinstance(await spending(ledger, budget, 500).send(a_call(0)), ChatReply)
    assert ledger.requests == made


async def test_requests_without_a_reply_use_the_budget_up_and_the_message_says_so() -> None:
    async def lose(request: ChatRequest) -> ChatReply:
        lost = TransientError("connection lost")
        lost.unanswered = True
        raise lost

    ledger = Ledger()
    budget = Budget(ledger, max_cost=2.5 * MOST)
    chat = BudgetedChat(LedgerChat(LocalChat(lose), ledger, "a", prices=PRICES), budget, PRICES)
    for _ in range(2):
        with pytest.raises(TransientError):
            await chat.send(a_call(0))
    with pytest.raises(BudgetError, match=r"\$0.2000 spent, \$0.2000 of it at most, for requests without"):
        await chat.send(a_call(0))


async def test_a_call_that_nothing_limits_any_more_is_not_made() -> None:
    ledger = Ledger()
    chat = spending(ledger, Budget(ledger, max_cost=100.0), 500)
    unlimited = ChatRequest("test", "nowhere", {"user": "x"}, RatingFormat())
    with pytest.raises(ConfigError, match="no limit on the length of a reply"):
        await chat.send(unlimited)
    assert ledger.requests == 0


async def test_judges_share_one_budget() -> None:
    ledger = Ledger()
    budget = Budget(ledger, max_calls=4)
    await asyncio.gather(*(send(spending(ledger, budget, 500), 5) for _ in range(3)))
    assert ledger.calls == 4
