"""Work that is cheaper in batches: what comes while a batch is under way makes up the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

K = TypeVar("K")
R = TypeVar("R")


class ThreadedBatches(Generic[K, R]):
    """Gathers items and handles all of them at once in a thread, one batch after the other.

    Args:
        thread: Where batches are handled.
        handle: Gives the outcomes of a batch, in order; an error it raises goes to everyone in the batch.
        most: The most items of a batch, or None for no limit.
    """

    def __init__(
        self, thread: ThreadPoolExecutor, handle: Callable[[list[K]], list[R]], *, most: int | None = None
    ) -> None:
        self._thread = thread
        self._handle = handle
        self._most = most
        self._waiting: list[tuple[K, asyncio.Future[R]]] = []
        self._worker: asyncio.Future[None] | None = None

    def add(self, item: K) -> asyncio.Future[R]:
        """Put `item` into the next batch; a future that is cancelled before takes it out again."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.ensure_future(self._work())
        return future

    async def drain(self) -> None:
        """Wait until everything that was added is handled."""
        while self._worker is not None and not self._worker.done():
            await asyncio.wait([self._worker])

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            wanted = [(item, future) for item, future in self._waiting if not future.done()]
            batch, self._waiting = wanted[: self._most], wanted[self._most or len(wanted) :]
            handled = loop.run_in_executor(self._thread, self._handle, [item for item, _ in batch])
            (outcome,) = await asyncio.gather(handled, return_exceptions=True)
            for index, (_, future) in enumerate(batch):
                if future.done():
                    continue
                if isinstance(outcome, BaseException):
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome[index])
