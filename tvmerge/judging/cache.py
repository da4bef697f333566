"""Replies that were paid for are kept, and identical requests are sent once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tvmerge.cache import ContentCache
from tvmerge.judging.batches import ThreadedBatches
from tvmerge.judging.chat import ChatModel, ChatReply, ChatRequest, ChatWrapper, Usage
from tvmerge.judging.single_flight import SingleFlight


class CachedChat(ChatWrapper):
    """Answers from the cache what the cache holds, and stores what it does not.

    Everything the wrapped model returns is stored, so that one must return complete, readable replies only.
    A stored reply that the present parser cannot read counts as a miss.

    Args:
        inner: The model asked on a miss.
        cache: The store; it is not closed here.
        on_hit: Called with the request and the reply of every hit.
    """

    def __init__(
        self,
        inner: ChatModel,
        cache: ContentCache,
        *,
        on_hit: Callable[[ChatRequest, ChatReply], None] = lambda request, reply: None,
    ) -> None:
        super().__init__(inner)
        self._store = _OffLoop(cache)
        self._flights: SingleFlight[ChatReply] = SingleFlight()
        self._on_hit = on_hit

    async def send(self, request: ChatRequest) -> ChatReply:
        """The stored reply, or the wrapped model's."""
        return await self._look_up(request) or await self._flights.do(
            request.key, lambda: self._fetch(request)
        )

    async def close(self) -> None:
        """Close the wrapped model; what is stored is already on the disk."""
        await super().close()
        await self._store.close()

    async def _look_up(self, request: ChatRequest) -> ChatReply | None:
        reply = _unpacked(await self._store.get(request.key))
        if reply is None or request.fault_of(reply):
            return None
        self._on_hit(request, reply)
        return reply

    async def _fetch(self, request: ChatRequest) -> ChatReply:
        # Another flight may have landed between this request's look-up and its own take-off.
        stored = await self._look_up(request)
        if stored is not None:
            return stored
        reply = await self._inner.send(request)
        # A paid reply must reach the disk even where its waiter has just been cancelled.
        await asyncio.shield(self._store.put(request.key, _packed(request, reply)))
        return reply


class _OffLoop:
    """Runs the cache in one thread of its own, all that is wanted at a time in one go.

    The event loop never waits for the disk, and a crowd of look-ups costs one change of threads.
    """

    def __init__(self, cache: ContentCache) -> None:
        self._cache = cache
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="judgment-cache")
        self._gets = ThreadedBatches(self._thread, self._get_all)
        self._puts = ThreadedBatches(self._thread, self._put_all)

    def get(self, key: str) -> asyncio.Future[Any | None]:
        return self._gets.add(key)

    def put(self, key: str, value: object) -> asyncio.Future[None]:
        return self._puts.add((key, value))

    async def close(self) -> None:
        await self._puts.drain()
        # diskcache keeps a connection a thread; only its own thread can close it.
        await asyncio.wrap_future(self._thread.submit(self._cache.close))
        self._thread.shutdown()

    def _get_all(self, keys: list[str]) -> list[Any | None]:
        return [self._cache.get(key) for key in keys]

    def _put_all(self, rows: list[tuple[str, object]]) -> list[None]:
        self._cache.put_many(dict(rows))
        return [None] * len(rows)


def _packed(request: ChatRequest, reply: ChatReply) -> dict[str, object]:
    usage = reply.usage and {"input": reply.usage.input, "output": reply.usage.output}
    return {
        "kind": "judgment",
        "request": request.parts,
        "reply": {"text": reply.text, "finish": reply.finish, "usage": usage},
    }


def _unpacked(row: Any) -> ChatReply | None:
    match row:
        case {"reply": {"text": str(text), "finish": "stop", "usage": usage}}:
            return ChatReply(text, "stop", _usage(usage), cached=True)
    return None


def _usage(stored: Mapping[str, int] | None) -> Usage | None:
    return None if stored is None else Usage(stored["input"], stored["output"])
