"""Runs work in batches: items that arrive during a batch form the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

K = TypeVar("K")
R = TypeVar("R")


class ThreadedBatches(Generic[K, R]):
    """Collects items and handles them in a thread, one batch after another.

    Args:
        thread: The executor that handles batches.
        handle: Returns the results of a batch, in order; an error it raises is set for every item of the
            batch.
        most: Maximum number of items per batch; None for no limit.
        linger: Seconds that a batch waits for more items, if several came at a time before.
    """

    def __init__(
        self,
        thread: ThreadPoolExecutor,
        handle: Callable[[list[K]], list[R]],
        *,
        most: int | None = None,
        linger: float = 0.0,
    ) -> None:
        self._thread = thread
        self._handle = handle
        self._most = most
        self._linger = linger
        self._last = 0
        self._waiting: list[tuple[K, asyncio.Future[R]]] = []
        self._worker: asyncio.Future[None] | None = None

    def add(self, item: K) -> asyncio.Future[R]:
        """Add `item` to the next batch; cancelling the future before that removes it."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.ensure_future(self._work())
        return future

    async def drain(self) -> None:
        """Wait until all items are handled."""
        while self._worker is not None and not self._worker.done():
            await asyncio.wait([self._worker])

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            if self._linger and max(self._last, len(self._waiting)) > 1:
                await asyncio.sleep(self._linger)
            wanted = [(item, future) for item, future in self._waiting if not future.done()]
            batch, self._waiting = wanted[: self._most], wanted[self._most or len(wanted) :]
            self._last = len(batch)
            handled = loop.run_in_executor(self._thread, self._handle, [item for item, _ in batch])
            (outcome,) = await asyncio.gather(handled, return_exceptions=True)
            for index, (_, future) in enumerate(batch):
                if future.done():
                    continue
                if isinstance(outcome, BaseException):
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome[index])
