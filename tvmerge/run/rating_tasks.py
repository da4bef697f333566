"""Ratings in flight. They may be paid for, so they continue if their caller is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tvmerge._util.tasks import first_failure
from tvmerge._util.trace import Trace
from tvmerge.protocols import Judge
from tvmerge.records import Answer, Judgment, Question, Unrated

Rated = tuple[Answer, Sequence[Judgment]]

_HARD_STOP = 0.05
"""Seconds between two cancellations of a task that is still running after its grace period."""


class RatingTasks:
    """Rates answers concurrently, each in a separate asyncio task.

    If the caller is cancelled, its ratings continue: their replies go to the judge's cache, and `drain` waits
    for them. On its first cancellation a judge sends no further requests, but still receives and stores the
    replies to those in flight.

    Args:
        judge: Rates the answers.
        trace: Records when each answer was rated.
        count_unanswered: Whether a turn without an answer counts as a judgment without a rating. True if the
            model was asked, False if answers come from a file that may lack some.
    """

    def __init__(self, judge: Judge, trace: Trace | None = None, *, count_unanswered: bool = False) -> None:
        self._judge = judge
        self._count_unanswered = count_unanswered
        self._trace = trace or Trace()
        self._running: set[asyncio.Task[Rated]] = set()

    def __len__(self) -> int:
        return len(self._running)

    def start(self, question: Question, answer: Answer, judge: Judge | None = None) -> asyncio.Task[Rated]:
        """Start rating `answer`, by `judge` if given."""
        task = asyncio.create_task(self._rate(question, answer, judge or self._judge))
        self._running.add(task)
        task.add_done_callback(self._finished)
        return task

    async def any_done(self) -> None:
        """Wait until one of the running ratings is done."""
        if self._running:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)

    async def drain(self, grace: float) -> None:
        """Stop sending requests, wait up to `grace` seconds for those in flight, then cancel them."""
        await self._cancel(grace)
        while self._running:
            # Repeated, since of two cancellations before a task's next step only one arrives.
            await self._cancel(_HARD_STOP)

    async def _cancel(self, seconds: float) -> None:
        running = list(self._running)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=seconds)
            await asyncio.sleep(0)

    async def _rate(self, question: Question, answer: Answer, judge: Judge) -> Rated:
        with self._trace.span("judge", f"question {question.question_id}"):
            judgments = await judge.judge(question, answer)
        missing = self._unanswered(question, answer) if self._count_unanswered else []
        return answer, [*judgments, *missing]

    def _unanswered(self, question: Question, answer: Answer) -> list[Unrated]:
        """Return a judgment for each turn without an answer, so that coverage counts it."""
        return [
            Unrated(
                question_id=question.question_id,
                turn=turn,
                judge=self._judge.name,
                prompt="",
                reason="not answered: the conversation is longer than the model's context",
            )
            for turn in range(len(answer.turns) + 1, len(question.turns) + 1)
        ]

    def _finished(self, task: asyncio.Task[Rated]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved, so that asyncio does not report a second failure as unhandled


async def all_rated(tasks: Sequence[asyncio.Task[Rated]]) -> list[Rated]:
    """Return the results of `tasks`, in their order; raise the first failure at once."""
    await first_failure(tasks)
    return [task.result() for task in tasks]
