"""Paid replies are kept and never bought twice."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.judging.chats import LocalChat, a_request
from tvmerge._util.cache import ContentCache
from tvmerge.errors import TransientError
from tvmerge.judging.client.cache import CachedChat, ReplyStore, StoringChat
from tvmerge.judging.client.chat import ChatReply, ChatRequest, Usage


def cached(model: LocalChat, cache: ContentCache, hits: list[str] | None = None) -> CachedChat:
    """`model` behind the cache."""
    store = ReplyStore(cache)
    keys = [] if hits is None else hits
    return CachedChat(
        StoringChat(model, store), store, on_hit=lambda request, reply: keys.append(request.key)
    )


GOOD = ChatReply("Rating: [[7]]", "stop", Usage(100, 20))


async def answer_well(request: ChatRequest) -> ChatReply:
    await asyncio.sleep(0)
    return GOOD


async def test_a_second_request_is_answered_from_the_cache(cache: ContentCache) -> None:
    model = LocalChat(answer_well)
    hits: list[str] = []
    chat = cached(model, cache, hits)
    first = await chat.send(a_request())
    second = await chat.send(a_request())
    await chat.close()
    assert (first, second) == (GOOD, GOOD)
    assert (first.cached, second.cached) == (False, True)
    assert len(model.sent) == 1
    assert hits == [a_request().key]
    assert model.closed


async def test_a_reply_outlives_the_process_that_paid_for_it(tmp_path: Path) -> None:
    for expected in (1, 0):
        cache = ContentCache(tmp_path)
        model = LocalChat(answer_well)
        chat = cached(model, cache)
        assert await chat.send(a_request()) == GOOD
        await chat.close()
        cache.close()
        assert len(model.sent) == expected


async def test_the_parts_of_the_key_are_stored_with_the_reply(cache: ContentCache) -> None:
    chat = cached(LocalChat(answer_well), cache)
    await chat.send(a_request("評価して", sample=2))
    await chat.close()
    row = cache.get(a_request("評価して", sample=2).key)
    assert row is not None
    assert row["request"] == a_request("評価して", sample=2).parts
    assert row["reply"] == {"text": GOOD.text, "finish": "stop", "usage": {"input": 100, "output": 20}}


async def test_identical_concurrent_requests_are_sent_once(cache: ContentCache) -> None:
    model = LocalChat(answer_well)
    chat = cached(model, cache)
    replies = await asyncio.gather(*(chat.send(a_request(str(n % 10))) for n in range(200)))
    await chat.close()
    assert set(replies) == {GOOD}
    assert len(model.sent) == 10
    assert len(cache) == 10


async def test_one_that_comes_just_as_another_lands_pays_nothing(cache: ContentCache) -> None:
    model = LocalChat(answer_well)
    chat = cached(model, cache)

    async def keep_coming() -> None:
        for _ in range(300):
            await chat.send(a_request())

    late = [asyncio.create_task(keep_coming()) for _ in range(4)]
    await asyncio.gather(*late)
    await chat.close()
    assert len(model.sent) == 1


class StoredMeanwhile(ContentCache):
    """A cache that another process writes to, always just after it was looked up."""

    def get(self, key: str) -> Any | None:
        """What was there before the other process wrote."""
        row = super().get(key)
        self.put(key, {"reply": {"text": GOOD.text, "finish": "stop", "usage": None}})
        return row


async def test_what_another_process_stores_meanwhile_is_not_paid_for(tmp_path: Path) -> None:
    cache = StoredMeanwhile(tmp_path)
    model = LocalChat(answer_well)
    chat = cached(model, cache)
    assert (await chat.send(a_request())).text == GOOD.text
    await chat.close()
    cache.close()
    assert model.sent == []


async def test_a_failure_is_not_kept(cache: ContentCache) -> None:
    async def fail(request: ChatRequest) -> ChatReply:
        raise TransientError("down")

    chat = cached(LocalChat(fail), cache)
    with pytest.raises(TransientError, match="down"):
        await chat.send(a_request())
    await chat.close()
    assert len(cache) == 0


@pytest.mark.parametrize(
    "useless",
    [ChatReply("Rating: [[7]]", "length"), ChatReply("seven", "stop"), ChatReply("", "refused")],
)
async def test_a_useless_reply_is_not_kept(cache: ContentCache, useless: ChatReply) -> None:
    async def answer(request: ChatRequest) -> ChatReply:
        return useless

    chat = cached(LocalChat(answer), cache)
    assert await chat.send(a_request()) == useless
    await chat.close()
    assert len(cache) == 0


async def test_a_stored_reply_that_cannot_be_read_any_more_is_a_miss(cache: ContentCache) -> None:
    for row in ({"reply": {"text": "seven", "finish": "stop", "usage": None}}, "nonsense", {"reply": 3}):
        cache.put(a_request().key, row)
        model = LocalChat(answer_well)
        chat = cached(model, cache)
        assert await chat.send(a_request()) == GOOD
        await chat.close()
        assert len(model.sent) == 1


async def test_a_paid_reply_is_stored_though_its_waiter_is_cancelled(cache: ContentCache) -> None:
    replied = asyncio.Event()

    async def reply(request: ChatRequest) -> ChatReply:
        replied.set()
        return GOOD

    chat = cached(LocalChat(reply), cache)
    waiter = asyncio.create_task(chat.send(a_request()))
    await replied.wait()
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    await chat.close()
    assert cache.get(a_request().key) is not None


async def test_an_unusable_cache_is_an_error_for_everyone_who_waits(tmp_path: Path) -> None:
    cache = ContentCache(tmp_path)
    chat = cached(LocalChat(answer_well), cache)
    cache.close()
    (tmp_path / "cache.db").unlink()
    (tmp_path / "cache.db").mkdir()
    outcomes = await asyncio.gather(*(chat.send(a_request(str(n))) for n in range(3)), return_exceptions=True)
    assert all(isinstance(outcome, Exception) for outcome in outcomes)
