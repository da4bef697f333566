"""What judging costs is the same whether replies are paid for now or come from the cache."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from tests.judging.chats import LocalChat, a_request
from tests.judging.virtual_time import run
from tvmerge._util.cache import ContentCache
from tvmerge.judging.client.charges import charged
from tvmerge.judging.client.chat import ChatModel, ChatReply, ChatRequest, Usage
from tvmerge.judging.client.ledger import Ledger
from tvmerge.judging.client.pipeline import pipeline
from tvmerge.judging.client.request_policy import RequestPolicy
from tvmerge.judging.client.tokens import most_tokens
from tvmerge.judging.spec import JudgeSpec

SPEC = JudgeSpec("test", "openai", model="m", price_input=1.0, price_output=10.0, price_date="2026-11-24")
GOOD = ChatReply("Rating: [[7]]", "stop", Usage(100, 20))
A_CALL = 300e-6
RAMBLING = ChatReply("I like it", "stop", Usage(50, 5))


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[ContentCache]:
    with closing(ContentCache(tmp_path)) as found:
        yield found


def judge(
    cache: ContentCache | None, replies: Callable[[ChatRequest], ChatReply] = lambda _: GOOD
) -> tuple[ChatModel, Ledger]:
    async def answer(request: ChatRequest) -> ChatReply:
        await asyncio.sleep(1)
        return replies(request)

    ledger = Ledger()
    return pipeline(LocalChat(answer), SPEC, RequestPolicy(cache=cache, ledger=ledger)), ledger


async def evaluate(chat: ChatModel, texts: Sequence[str]) -> float:
    with charged() as charges:
        tasks = [asyncio.create_task(chat.send(a_request(text))) for text in texts]
        await asyncio.gather(*tasks)
    return charges.usd


async def alone(chat: ChatModel, texts: Sequence[str]) -> float:
    spent = await evaluate(chat, texts)
    await chat.close()
    return spent


def test_stored_replies_count_with_what_they_cost(cache: ContentCache) -> None:
    for calls in (3, 0):
        chat, ledger = judge(cache)
        assert run(alone(chat, ["a", "b", "c"])) == pytest.approx(3 * A_CALL)
        assert ledger.calls == calls


def test_without_a_cache_calls_count(cache: ContentCache) -> None:
    chat, _ = judge(None)
    assert run(alone(chat, ["a", "b"])) == pytest.approx(2 * A_CALL)


def test_evaluations_at_once_are_told_apart_and_share_no_reply(cache: ContentCache) -> None:
    """A reply that two of them wait for costs each of them as much, whichever is first."""

    async def both(chat: ChatModel) -> list[int]:
        found = await asyncio.gather(evaluate(chat, ["a", "b", "c"]), evaluate(chat, ["c"]))
        await chat.close()
        return [round(usd / A_CALL) for usd in found]

    chat, ledger = judge(cache)
    assert run(both(chat)) == [3, 1]
    assert ledger.calls == 3


def test_a_reply_counts_with_the_one_that_it_corrects_now_and_later(cache: ContentCache) -> None:
    for calls in (2, 0):
        chat, ledger = judge(cache, lambda request: GOOD if request.after else RAMBLING)
        assert run(alone(chat, ["a"])) == pytest.approx(A_CALL + 100e-6)
        assert ledger.calls == calls


def test_a_reply_without_a_usage_counts_as_the_most_expensive_one(cache: ContentCache) -> None:
    most = most_tokens(a_request("a"))
    for _ in range(2):
        chat, _ = judge(cache, lambda _: ChatReply("Rating: [[7]]", "stop"))
        spent = run(alone(chat, ["a"]))
        assert spent == pytest.approx((most.input + 10 * most.output) / 1e6)


def test_requests_outside_of_evaluations_are_charged_to_none(cache: ContentCache) -> None:
    async def twice(chat: ChatModel) -> float:
        await chat.send(a_request("a"))
        spent = await evaluate(chat, ["b"])
        await chat.send(a_request("c"))
        await chat.close()
        return spent

    chat, _ = judge(cache)
    assert run(twice(chat)) == pytest.approx(A_CALL)
