"""Keeps processes that share a cache from paying for the same request at the same time.

A request is claimed in the shared cache while it is in flight. Whoever finds it claimed gives up its place
among the requests in flight and waits for the other's reply, or for the claim to be free again. Nobody who
holds a claim waits for another one, so no two processes can wait for each other.
"""

from __future__ import annotations

import asyncio
import math
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from tvmerge._util.claims import Claims
from tvmerge._util.thread_batches import ThreadedBatches
from tvmerge.errors import RequestError
from tvmerge.judging.client.cache import ReplyStore
from tvmerge.judging.client.chat import ChatModel, ChatReply, ChatRequest, ChatWrapper
from tvmerge.judging.client.pauses import Pauses

T = TypeVar("T")

_FIRST_LOOK, _LONGEST_LOOK = 0.05, 0.5
"""Seconds between two looks for the reply that another process waits for, at first and at most."""

DECIDED = 5.0
"""Seconds that a refused request stays claimed: until then it is mostly known and stored whether its text is
refused for good. No longer, since two processes may wait for each other to know it."""

SHOWN_AFTER = 3.0
"""Seconds after which a wait for another process is shown."""


class ClaimedError(Exception):
    """Another process is sending the same request."""


class RequestClaims:
    """Claims requests in a separate thread, in batches; opened by the first claim.

    If claims cannot be written, requests are sent without: they may be paid for twice, but not lost.

    Args:
        folder: Where claims are kept.
        note: Called once if claims cannot be written.
    """

    def __init__(self, folder: Path, note: Callable[[str], None]) -> None:
        self._folder = folder
        self._note = note
        self._claims: Claims | None = None
        self._broken = False
        self._closed = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="judgment-claims")
        self._takes = ThreadedBatches(self._thread, self._take)
        self._looks = ThreadedBatches(self._thread, self._look)
        self._ends = ThreadedBatches(self._thread, self._let_go)

    async def take(self, key: str) -> bool:
        """Claim a key; return whether it is claimed now by this process."""
        taking = self._takes.add(key)
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            taking.add_done_callback(lambda _: self.let_go(key))
            raise

    async def taken(self, key: str) -> bool:
        """Return whether another process that is at work has claimed a key."""
        return await self._looks.add(key)

    def let_go(self, key: str) -> None:
        """Give up a claim."""
        if not self._closed:
            self._ends.add(key)

    async def close(self) -> None:
        """Give up all claims."""
        self._closed = True  # what is claimed still is given up below
        for batches in (self._takes, self._looks, self._ends):
            await batches.drain()
        await asyncio.wrap_future(self._thread.submit(self._end))
        self._thread.shutdown()

    def _take(self, keys: list[str]) -> list[bool]:
        return self._tried(lambda claims: claims.take(keys), [True] * len(keys))

    def _look(self, keys: list[str]) -> list[bool]:
        return self._tried(lambda claims: claims.taken(keys), [False] * len(keys))

    def _let_go(self, keys: list[str]) -> list[None]:
        return self._tried(lambda claims: claims.let_go(keys), None) or [None] * len(keys)

    def _end(self) -> None:
        if self._claims is not None:
            self._tried(lambda claims: claims.close(), None)

    def _tried(self, work: Callable[[Claims], T], otherwise: T) -> T:
        """Return the result of `work`, or of doing without claims."""
        try:
            if not self._broken:
                self._claims = self._claims or Claims(self._folder)
                return work(self._claims)
        except (sqlite3.Error, OSError) as error:
            self._broken = True
            if self._claims is not None:
                self._claims.abandon()  # or others would wait for what is claimed here
            self._note(
                f"runs that share the cache may pay for the same ratings, since {self._folder} cannot be "
                f"used: {error}"
            )
        return otherwise


class ClaimingChat(ChatWrapper):
    """Claims a request while it is in flight.

    Args:
        inner: The wrapped model, which stores its replies.
        claims: Where requests are claimed; closed with this.
        store: Where the replies of other processes are found.
    """

    def __init__(self, inner: ChatModel, claims: RequestClaims, store: ReplyStore) -> None:
        super().__init__(inner)
        self._claims = claims
        self._store = store
        self._later: dict[str, asyncio.TimerHandle] = {}

    async def send(self, request: ChatRequest) -> ChatReply:
        """Return the wrapped model's reply, or the one that another process has stored by now.

        Raises:
            ClaimedError: Another process is sending this request.
        """
        asked = request.asked
        opens = request.after is None
        is_ours = await self._claims.take(asked.keys[-1])
        if (later := self._later.pop(asked.keys[-1], None)) is not None:
            later.cancel()
        if not is_ours and opens:
            raise ClaimedError
        seconds = 0.0
        try:
            stored = await self._store.get(asked) if opens else None
            return stored or await self._inner.send(request)
        except RequestError:
            seconds = DECIDED if opens else 0.0
            raise
        finally:
            if is_ours:
                self._let_go(asked.keys[-1], seconds)

    async def close(self) -> None:
        """Close the wrapped model, then the claims."""
        try:
            await super().close()
        finally:
            await self._claims.close()

    def _let_go(self, key: str, seconds: float) -> None:
        """Give up a claim after so many seconds, unless the same request is sent again meanwhile."""
        if (earlier := self._later.pop(key, None)) is not None:
            earlier.cancel()
        if seconds:
            loop = asyncio.get_running_loop()
            self._later[key] = loop.call_later(seconds, self._let_go, key, 0.0)
        else:
            self._claims.let_go(key)


class AwaitingChat(ChatWrapper):
    """Waits for the reply to a request that another process is sending.

    Args:
        inner: The wrapped model, which raises `ClaimedError`.
        claims: Where requests are claimed.
        store: Where the other's reply is found.
        pauses: Shows the user a longer wait.
    """

    def __init__(
        self, inner: ChatModel, claims: RequestClaims, store: ReplyStore, pauses: Pauses | None = None
    ) -> None:
        super().__init__(inner)
        self._claims = claims
        self._store = store
        self._pauses = pauses or Pauses()

    async def send(self, request: ChatRequest) -> ChatReply:
        """Return the wrapped model's reply, or the other process's."""
        while True:
            try:
                return await self._inner.send(request)
            except ClaimedError:
                if (reply := await self._awaited(request.asked)) is not None:
                    return reply

    async def _awaited(self, request: ChatRequest) -> ChatReply | None:
        """Return the reply that another process stores; None once its claim is free."""
        loop = asyncio.get_running_loop()
        begun, pause, who = loop.time(), _FIRST_LOOK, object()
        try:
            while True:
                await asyncio.sleep(pause)
                if (reply := await self._store.get(request)) is not None:
                    return reply
                if not await self._claims.taken(request.keys[-1]):
                    return None
                pause = min(_LONGEST_LOOK, 2 * pause)
                if loop.time() - begun > SHOWN_AFTER:
                    self._pauses.wait(who, math.inf, "another run is asking for the same ratings")
        finally:
            self._pauses.over(who)
