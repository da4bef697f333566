"""A pool that holds a lock while it generates, so that a batch judge waits for all answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractContextManager, aclosing
from typing import TYPE_CHECKING

from tvmerge.records import Answer, Continuation, LogLikelihood, Question, Recipe, Sampling

if TYPE_CHECKING:
    from tvmerge.protocols import Pool


class HoldingPool:
    """Wraps a pool and holds a lock while a candidate answers or waits for an engine.

    Args:
        pool: The pool.
        hold: Gives a context manager that holds the lock.
    """

    def __init__(self, pool: Pool, hold: Callable[[], AbstractContextManager[None]]) -> None:
        self._pool = pool
        self._hold = hold

    async def answer(
        self,
        recipe: Recipe,
        questions: Sequence[Question],
        sampling: Sampling,
        *,
        wave: int | None = None,
    ) -> AsyncGenerator[tuple[Answer, ...], None]:
        """Yield the pool's answers."""
        with self._hold():
            async with aclosing(self._pool.answer(recipe, questions, sampling, wave=wave)) as stream:
                async for answers in stream:
                    yield answers

    async def loglikelihood(self, recipe: Recipe, pairs: Sequence[Continuation]) -> Sequence[LogLikelihood]:
        """Return the pool's likelihoods."""
        with self._hold():
            return await self._pool.loglikelihood(recipe, pairs)

    async def close(self) -> None:
        """Close the pool."""
        await self._pool.close()


if TYPE_CHECKING:
    _pool: type[Pool] = HoldingPool
