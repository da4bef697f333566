"""Pools that take turns on the same devices, each closed before another starts its engines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

from tvmerge.protocols import Pool
from tvmerge.records import Answer, Continuation, LogLikelihood, Question, Recipe, Sampling


class Turns:
    """Whose turn it is on some devices."""

    def __init__(self) -> None:
        self._pool: Pool | None = None
        self._uses = 0
        self._idle = asyncio.Event()
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def of(self, pool: Pool) -> AsyncIterator[None]:
        """Use a pool, once the one before is idle and closed."""
        async with self._lock:
            if self._pool is not pool:
                while self._uses:
                    self._idle.clear()
                    await self._idle.wait()
                if self._pool is not None:
                    await self._pool.close()
                self._pool = pool
            self._uses += 1
        try:
            yield
        finally:
            self._uses -= 1
            self._idle.set()


class TurnPool:
    """A pool that is made when its turn first comes.

    Args:
        make: Makes the pool.
        turns: Whose turn it is; shared by all pools on the same devices.
    """

    def __init__(self, make: Callable[[], Pool], turns: Turns) -> None:
        self._make = make
        self._turns = turns
        self._made: Pool | None = None

    async def answer(
        self,
        recipe: Recipe,
        questions: Sequence[Question],
        sampling: Sampling,
        *,
        wave: int | None = None,
    ) -> AsyncGenerator[tuple[Answer, ...], None]:
        """Yield the pool's answers."""
        async with (
            self._turns.of(pool := self._pool()),
            aclosing(pool.answer(recipe, questions, sampling, wave=wave)) as stream,
        ):
            async for answers in stream:
                yield answers

    async def loglikelihood(self, recipe: Recipe, pairs: Sequence[Continuation]) -> Sequence[LogLikelihood]:
        """Return the pool's likelihoods."""
        async with self._turns.of(pool := self._pool()):
            return await pool.loglikelihood(recipe, pairs)

    async def close(self) -> None:
        """Close the pool, if it was made."""
        if self._made is not None:
            await self._made.close()

    def _pool(self) -> Pool:
        if self._made is None:
            self._made = self._make()
        return self._made


if TYPE_CHECKING:
    _pool: type[Pool] = TurnPool
