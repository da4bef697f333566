"""Stores replies that were paid for, and sends identical requests once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from tvmerge._util.cache import ContentCache
from tvmerge._util.cache_rows import pack
from tvmerge._util.reserve import DiskReserve
from tvmerge._util.single_flight import SingleFlight
from tvmerge._util.thread_batches import ThreadedBatches
from tvmerge.errors import ProviderError, UserError
from tvmerge.judging.client.chat import (
    ChatModel,
    ChatReply,
    ChatRequest,
    ChatWrapper,
)
from tvmerge.judging.client.journal import ReplyJournal
from tvmerge.judging.client.reply_rows import packed_refusal, packed_reply, refusal_in, reply_in

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
        journal: Has replies from when they arrive until they are in the cache; None for none.
    """

    def __init__(
        self, cache: ContentCache, *, paid: bool = True, journal: ReplyJournal | None = None
    ) -> None:
        self._cache = cache
        self._paid = paid
        self._journal = journal
        if journal is not None:
            journal.open()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="judgment-cache")
        self._gets = ThreadedBatches(self._thread, self._get_all)
        self._puts = ThreadedBatches(self._thread, self._put_all, linger=_LINGER)
        self._reserve = DiskReserve(cache.folder / "reserve")
        self._arrived: dict[str, asyncio.Future[list[None]]] = {}
        self._journaled: set[str] = set()
        self._kept: set[str] = set()
        self._unstored: dict[str, str] = {}
        self._fault: UserError | None = None

    async def get(self, request: ChatRequest) -> ChatReply | None:
        """Return the stored reply to `request`; None without one that is still readable and usable.

        Raises:
            UnusableError, TooLongError, TextRefusedError: The text was refused before.
        """
        row = await self._gets.add(request.key)
        if (refusal := refusal_in(row)) is not None:
            raise refusal
        reply = reply_in(row)
        return None if reply is None or request.fault_of(reply) else reply

    def arrived(self, request: ChatRequest, reply: ChatReply, line: Mapping[str, Any]) -> None:
        """Note a reply in the journal, if it is one to be stored, and begin to store it.

        Args:
            request: What was sent.
            reply: The reply to it.
            line: The ledger's line of the call.
        """
        asked, whole = request.settled(reply)
        if asked.fault_of(whole):
            return
        packed = pack(packed_reply(asked, whole))
        if self._journal is not None:
            self._journaled.add(asked.key)
            if self._journal.add(asked.keys, packed, line):
                self._kept.update(asked.keys)
        self._arrived[asked.key] = self._begin(asked, packed)

    async def put(self, request: ChatRequest, reply: ChatReply) -> None:
        """Store a reply, even if the caller is cancelled while waiting."""
        if reply.receipt:  # the list of batches has it until it is stored
            self._kept.update(request.keys)
        begun = self._arrived.pop(request.key, None)
        await asyncio.shield(begun or self._begin(request, pack(packed_reply(request, reply))))

    async def put_refusal(self, request: ChatRequest, error: ProviderError) -> None:
        """Store that a text was refused, if `error` says so and other texts are answered."""
        row = packed_refusal(request, error)
        if row is not None:
            await asyncio.shield(self._begin(request, pack(row)))

    async def read(self, key: str) -> object:
        """Return what is stored under a key that is not a request's, or None."""
        return await self._gets.add(key)

    async def write(self, key: str, row: object) -> None:
        """Store something under a key that is not a request's."""
        await asyncio.shield(self._puts.add((key, pack(row))))

    async def flush(self) -> Collection[str]:
        """Store what is not stored yet, and return the keys of what cannot be stored."""
        await self._puts.drain()
        return await asyncio.wrap_future(self._thread.submit(self._flush))

    async def close(self) -> None:
        """Wait until everything is on disk.

        Raises:
            UserError: Replies that were paid for cannot be stored.
        """
        await self._puts.drain()
        try:
            await asyncio.wrap_future(self._thread.submit(self._store_rest))
            for key in list(self._journaled):
                self._out_of_journal(key)
        finally:
            await asyncio.wrap_future(self._thread.submit(self._cache.close))
            self._thread.shutdown()
            if self._journal is not None:
                self._journal.close()

    def _begin(self, request: ChatRequest, packed: str) -> asyncio.Future[list[None]]:
        """Begin to store what a request is answered with, whoever waits for that."""
        stored = asyncio.gather(*(self._puts.add((key, packed)) for key in request.keys))
        # The caller may be gone. Whatever is not stored is retried, and reported on close.
        stored.add_done_callback(lambda done: self._stored(request, done))
        return stored

    def _stored(self, request: ChatRequest, done: asyncio.Future[list[None]]) -> None:
        if not done.cancelled() and done.exception() is None:
            self._kept.difference_update(request.keys)
            self._out_of_journal(request.key)

    def _out_of_journal(self, key: str) -> None:
        if self._journal is not None and key in self._journaled:
            self._journaled.remove(key)
            self._journal.stored(key)

    def _get_all(self, keys: list[str]) -> list[Any | None]:
        if self._paid and self._fault is None:
            self._reserve.hold()  # before anything is sent
        return [self._cache.get(key) for key in keys]

    def _put_all(self, rows: list[tuple[str, str]]) -> list[None]:
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
        self._cache.put_packed(self._unstored)
        self._unstored = {}

    def _flush(self) -> Collection[str]:
        with suppress(UserError):
            self._write()
        return frozenset(self._unstored)

    def _store_rest(self) -> None:
        if not self._unstored:
            return
        try:
            self._write()
        except UserError as error:
            lost = len(self._unstored.keys() - self._kept)
            after = (
                f"{lost} replies that were paid for are lost"
                if lost
                else "the replies that were paid for are kept with the run: make room, then run again"
            )
            raise UserError(f"{error}; {after}") from error


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
