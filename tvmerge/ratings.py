"""Ratings in flight. They may be paid for, so they outlive whoever asked for them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tvmerge.protocols import Judge
from tvmerge.records import Answer, Judgment, Question

Rated = tuple[Answer, Sequence[Judgment]]


class Ratings:
    """Has answers rated, each in a task of its own.

    A caller that is cancelled leaves its ratings running: what they bring is in the judge's cache, and
    `drain` waits for it.

    Args:
        judge: Rates the answers.
    """

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._running: set[asyncio.Task[Rated]] = set()

    def __len__(self) -> int:
        return len(self._running)

    def start(self, question: Question, answer: Answer) -> asyncio.Task[Rated]:
        """Begin to rate `answer`."""
        task = asyncio.create_task(self._rate(question, answer))
        self._running.add(task)
        task.add_done_callback(self._finished)
        return task

    async def any_done(self) -> None:
        """Wait until one of those running has ended."""
        if self._running:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)

    async def drain(self, grace: float) -> None:
        """Wait up to `grace` seconds for those running, then give the rest up."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _rate(self, question: Question, answer: Answer) -> Rated:
        return answer, await self._judge.judge(question, answer)

    def _finished(self, task: asyncio.Task[Rated]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # seen here, so that a second failure is not reported as unhandled


async def all_rated(tasks: Sequence[asyncio.Task[Rated]]) -> list[Rated]:
    """The results of `tasks`, in their order; raises the first failure as soon as it happens."""
    if tasks:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    return [task.result() for task in tasks]
