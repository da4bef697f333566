"""Stores replies that were paid for, and sends identical requests once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tvmerge._util.cache import ContentCache
from tvmerge._util.reserve import DiskReserve
from tvmerge._util.single_flight import SingleFlight
from tvmerge._util.thread_batches import ThreadedBatches
from tvmerge.errors import ProviderError, UserError
from tvmerge.judging.client.chat import (
    ChatModel,
    ChatReply,
    ChatRequest,
    ChatWrapper,
    TextRefusedError,
    TooLongError,
    Usage,
)
from tvmerge.judging.client.reask import UnusableError

REFUSAL = "refusal"
"""The kind of rows that record a refused text."""

_LINGER = 0.02
"""Seconds that replies wait for others to be stored in one transaction with them, if many come at a time."""


class ReplyStore:
    """Accesses the cache in a separate thread, in batches.

    The event loop never waits for the disk, and many look-ups cost one switch of threads. If the disk fills
    up, replies in flight are still stored, in space reserved for them, and every later write raises, so that
    no more requests are sent.

    Args:
        cache: The cache; it is not closed here.
        paid: Whether replies will be paid for, so that disk space is reserved for them.
    """

    def __init__(self, cache: ContentCache, *, paid: bool = True) -> None:
        self._cache = cache
        self._paid = paid
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="judgment-cache")
        self._gets = ThreadedBatches(self._thread, self._get_all)
        self._puts = ThreadedBatches(self._thread, self._put_all, linger=_LINGER)
        self._reserve = DiskReserve(cache.folder / "reserve")
        self._unstored: dict[str, object] = {}
        self._fault: UserError | None = None

    async def get(self, request: ChatRequest) -> ChatReply | None:
        """Return the stored reply to `request`; None without one that is still readable and usable.

        Raises:
            UnusableError, TooLongError, TextRefusedError: The text was refused before.
        """
        row = await self._gets.add(request.key)
        if (refusal := _refusal(row)) is not None:
            raise refusal
        reply = _unpacked(row)
        return None if reply is None or request.fault_of(reply) else reply

    async def put(self, request: ChatRequest, reply: ChatReply) -> None:
        """Store a reply, even if the caller is cancelled while waiting."""
        await self._put(request, _packed(request, reply))

    async def put_refusal(self, request: ChatRequest, error: ProviderError) -> None:
        """Store that a text was refused, if `error` says so and other texts are answered."""
        row = _packed_refusal(request, error)
        if row is not None:
            await self._put(request, row)

    async def read(self, key: str) -> object:
        """Return what is stored under a key that is not a request's, or None."""
        return await self._gets.add(key)

    async def write(self, key: str, row: object) -> None:
        """Store something under a key that is not a request's."""
        await asyncio.shield(self._puts.add((key, row)))

    async def close(self) -> None:
        """Wait until everything is on disk.

        Raises:
            UserError: Replies that were paid for cannot be stored.
        """
        await self._puts.drain()
        try:
            await asyncio.wrap_future(self._thread.submit(self._store_rest))
        finally:
            await asyncio.wrap_future(self._thread.submit(self._cache.close))
            self._thread.shutdown()

    async def _put(self, request: ChatRequest, row: object) -> None:
        stored = asyncio.gather(*(self._puts.add((key, row)) for key in request.keys))
        # The caller may be gone. Whatever is not stored is retried, and reported on close.
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
        """Write everything that is not stored yet."""
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
    """Returns stored replies; sends other requests, identical ones only once.

    Refusals of a text are stored as well, since sending it again would be refused and counted again.

    Args:
        inner: The wrapped model, asked on a miss.
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
        """Return the stored reply, or else the wrapped model's.

        Raises:
            UnusableError, TooLongError, TextRefusedError: The text was refused, now or before.
        """
        return await self._look_up(request) or await self._flights.do(
            request.key, lambda: self._fetch(request)
        )

    async def close(self) -> None:
        """Close the wrapped model, then the store."""
        try:
            await super().close()
        finally:
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
        # An identical request may have been answered since this one was looked up.
        if (reply := await self._look_up(request)) is not None:
            return reply
        try:
            reply = await self._inner.send(request)
        except ProviderError as error:
            await self._store.put_refusal(request, error)
            raise
        if reply.cached:  # another process has paid for it meanwhile
            self._on_hit(request, reply)
        return reply


class StoringChat(ChatWrapper):
    """Stores every complete, readable reply before returning it, as the reply to the original request.

    It runs inside the limit on requests in flight: a request counts as in flight until its reply is on disk,
    so a crash loses no more replies than that limit.

    Args:
        inner: The wrapped model.
        store: Stores the replies.
    """

    def __init__(self, inner: ChatModel, store: ReplyStore) -> None:
        super().__init__(inner)
        self._store = store

    async def send(self, request: ChatRequest) -> ChatReply:
        """Return the wrapped model's reply."""
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
        # Stored replies are complete, whatever finish reason the provider gave.
        "reply": {"text": reply.text, "finish": "stop", "usage": usage}
        | ({"before": reply.before} if reply.before else {}),
    }


def _packed_refusal(request: ChatRequest, error: ProviderError) -> dict[str, object] | None:
    match error:
        case UnusableError(refused=True):
            refused = {"for": "content", "reply": error.reply}
        case TooLongError():
            refused = {"for": "length"}
        case TextRefusedError(proven=True):
            refused = {"for": "unknown"}
        case _:
            return None
    return {"kind": REFUSAL, "request": request.parts, "refusal": {**refused, "words": str(error)}}


def is_refusal(row: Any) -> bool:
    """Return whether a row of the cache records a refused text."""
    return _refusal(row) is not None


def _refusal(row: Any) -> ProviderError | None:
    match row:
        case {"kind": "refusal", "refusal": {"for": "content", "words": str(words), "reply": str(reply)}}:
            return UnusableError(words, reply=reply, refused=True)
        case {"kind": "refusal", "refusal": {"for": "length", "words": str(words)}}:
            return TooLongError(words)
        case {"kind": "refusal", "refusal": {"for": "unknown", "words": str(words)}}:
            return TextRefusedError(words)
    return None


def _unpacked(row: Any) -> ChatReply | None:
    match row:
        case {"reply": {"text": str(text), "finish": "stop", "usage": usage, **rest}}:
            return ChatReply(text, "stop", _usage(usage), cached=True, before=str(rest.get("before", "")))
    return None


def _usage(stored: Any) -> Usage | None:
    match stored:
        case {"input": int(read), "output": int(written)}:
            return Usage(read, written)
    return None
