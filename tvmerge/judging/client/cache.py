"""Replies that were paid for are kept, and identical requests are sent once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tvmerge._util.cache import ContentCache
from tvmerge._util.reserve import Reserve
from tvmerge._util.single_flight import SingleFlight
from tvmerge._util.thread_batches import ThreadedBatches
from tvmerge.errors import ProviderError, UserError
from tvmerge.judging.client.chat import (
    ChatModel,
    ChatReply,
    ChatRequest,
    ChatWrapper,
    TextError,
    TooLongError,
    Usage,
)
from tvmerge.judging.client.reask import UnusableError

REFUSAL = "refusal"
"""The kind of a row that says a text was refused."""


class ReplyStore:
    """The cache, run in one thread of its own, all that is wanted at a time in one go.

    The event loop never waits for the disk, and a crowd of look-ups costs one change of threads. Where the
    disk fills up, what is on its way is still stored, in room that was kept for it, and whoever stores
    anything is told to send no more.

    Args:
        cache: The store; it is not closed here.
        paid: Replies are going to be paid for, so room is kept for them.
    """

    def __init__(self, cache: ContentCache, *, paid: bool = True) -> None:
        self._cache = cache
        self._paid = paid
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="judgment-cache")
        self._gets = ThreadedBatches(self._thread, self._get_all)
        self._puts = ThreadedBatches(self._thread, self._put_all)
        self._reserve = Reserve(cache.folder / "reserve")
        self._unstored: dict[str, object] = {}
        self._fault: UserError | None = None

    async def get(self, request: ChatRequest) -> ChatReply | None:
        """The usable reply to `request`, if there is one; one that cannot be read any more is none.

        Raises:
            UnusableError, TooLongError, TextError: It was refused for its text before.
        """
        row = await self._gets.add(request.key)
        if (refusal := _refusal(row)) is not None:
            raise refusal
        reply = _unpacked(row)
        return None if reply is None or request.fault_of(reply) else reply

    async def put(self, request: ChatRequest, reply: ChatReply) -> None:
        """Keep a reply; it is kept even where the one who waits for that is cancelled."""
        await self._put(request, _packed(request, reply))

    async def put_refusal(self, request: ChatRequest, error: ProviderError) -> None:
        """Keep that a text was refused, where `error` says that and others are not."""
        row = _packed_refusal(request, error)
        if row is not None:
            await self._put(request, row)

    async def read(self, key: str) -> object:
        """What is kept under a key that is no request's, or None."""
        return await self._gets.add(key)

    async def write(self, key: str, row: object) -> None:
        """Keep something under a key that is no request's."""
        await asyncio.shield(self._puts.add((key, row)))

    async def close(self) -> None:
        """Wait until everything is on the disk.

        Raises:
            UserError: Replies that were paid for cannot be stored.
        """
        await self._puts.drain()
        try:
            await asyncio.wrap_future(self._thread.submit(self._store_rest))
        finally:
            # diskcache keeps a connection a thread; only its own thread can close it.
            await asyncio.wrap_future(self._thread.submit(self._cache.close))
            self._thread.shutdown()

    async def _put(self, request: ChatRequest, row: object) -> None:
        stored = asyncio.gather(*(self._puts.add((key, row)) for key in request.keys))
        # Nobody may be left to hear of a failure; what is not stored is tried again and told of at the end.
        stored.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.shield(stored)

    def _get_all(self, keys: list[str]) -> list[Any | None]:
        if self._paid and self._fault is None:
            self._reserve.hold()  # before anything is sent
        return [self._cache.get(key) for key in keys]

    def _put_all(self, rows: list[tuple[str, object]]) -> list[None]:
        self._unstored |= dict(rows)
        try:
            self._write()
        except UserError as error:
            self._fault = error
            self._reserve.release()
            self._write()
        if self._fault is not None:
            raise UserError(f"{self._fault}; what was paid for is stored: free disk space, then run again")
        return [None] * len(rows)

    def _write(self) -> None:
        """Store what is not stored yet."""
        self._cache.put_many(self._unstored)
        self._unstored = {}

    def _store_rest(self) -> None:
        if not self._unstored:
            return
        lost = len(self._unstored)
        try:
            self._write()
        except UserError as error:
            raise UserError(f"{error}; {lost} replies that were paid for are lost") from error


class CachedChat(ChatWrapper):
    """Answers from the store what the store holds; what it does not hold is sent once at a time.

    That a provider refused a text is kept as well: it would refuse it again, and count it again.

    Args:
        inner: The model asked on a miss.
        store: The store; closed with this.
        on_hit: Called with the request and the reply of every hit.
    """

    def __init__(
        self,
        inner: ChatModel,
        store: ReplyStore,
        *,
        on_hit: Callable[[ChatRequest, ChatReply], None] = lambda request, reply: None,
    ) -> None:
        super().__init__(inner)
        self._store = store
        self._flights: SingleFlight[ChatReply] = SingleFlight()
        self._on_hit = on_hit

    async def send(self, request: ChatRequest) -> ChatReply:
        """The stored reply, or the wrapped model's.

        Raises:
            UnusableError, TooLongError, TextError: The text was refused, now or before.
        """
        return await self._look_up(request) or await self._flights.do(
            request.key, lambda: self._fetch(request)
        )

    async def close(self) -> None:
        """Close the wrapped model, then the store."""
        await super().close()
        await self._store.close()

    async def _look_up(self, request: ChatRequest) -> ChatReply | None:
        try:
            reply = await self._store.get(request)
        except ProviderError:
            self._on_hit(request, ChatReply("", "refused", cached=True))
            raise
        if reply is not None:
            self._on_hit(request, reply)
        return reply

    async def _fetch(self, request: ChatRequest) -> ChatReply:
        # Another flight may have landed between this request's look-up and its own take-off.
        if (reply := await self._look_up(request)) is not None:
            return reply
        try:
            return await self._inner.send(request)
        except ProviderError as error:
            await self._store.put_refusal(request, error)
            raise


class StoringChat(ChatWrapper):
    """Keeps every complete, readable reply before it is handed on, as the reply to what was asked at first.

    It stands inside the limit on requests in flight: a place is given back only when what was paid for is
    on the disk, so a crash loses no more replies than are in flight.

    Args:
        inner: The model asked.
        store: Where replies are kept.
    """

    def __init__(self, inner: ChatModel, store: ReplyStore) -> None:
        super().__init__(inner)
        self._store = store

    async def send(self, request: ChatRequest) -> ChatReply:
        """The wrapped model's reply."""
        reply = await self._inner.send(request)
        asked, whole = request.settled(reply)
        if not asked.fault_of(whole):
            await self._store.put(asked, whole)
        return reply


def _packed(request: ChatRequest, reply: ChatReply) -> dict[str, object]:
    usage = reply.usage and {"input": reply.usage.input, "output": reply.usage.output}
    return {
        "kind": "judgment",
        "request": request.parts,
        # Whatever the provider calls its end: what is kept is complete.
        "reply": {"text": reply.text, "finish": "stop", "usage": usage}
        | ({"before": reply.before} if reply.before else {}),
    }


def _packed_refusal(request: ChatRequest, error: ProviderError) -> dict[str, object] | None:
    match error:
        case UnusableError(refused=True):
            refused = {"for": "content", "reply": error.reply}
        case TooLongError():
            refused = {"for": "length"}
        case TextError(proven=True):
            refused = {"for": "unknown"}
        case _:
            return None
    return {"kind": REFUSAL, "request": request.parts, "refusal": {**refused, "words": str(error)}}


def is_refusal(row: Any) -> bool:
    """Whether a row of the cache says that a text was refused."""
    return _refusal(row) is not None


def _refusal(row: Any) -> ProviderError | None:
    match row:
        case {"kind": "refusal", "refusal": {"for": "content", "words": str(words), "reply": str(reply)}}:
            return UnusableError(words, reply=reply, refused=True)
        case {"kind": "refusal", "refusal": {"for": "length", "words": str(words)}}:
            return TooLongError(words)
        case {"kind": "refusal", "refusal": {"for": "unknown", "words": str(words)}}:
            return TextError(words)
    return None


def _unpacked(row: Any) -> ChatReply | None:
    match row:
        case {"reply": {"text": str(text), "finish": "stop", "usage": usage, **rest}}:
            return ChatReply(text, "stop", _usage(usage), cached=True, before=str(rest.get("before", "")))
    return None


def _usage(stored: Mapping[str, int] | None) -> Usage | None:
    return None if stored is None else Usage(stored["input"], stored["output"])
