"""Ratings in flight. They may be paid for, so they outlive their caller."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tvmerge._util.tasks import first_failure
from tvmerge._util.trace import Trace
from tvmerge.protocols import Judge
from tvmerge.records import Answer, Judgment, Question, Unrated

Rated = tuple[Answer, Sequence[Judgment]]

_HARD_STOP = 0.05
"""Seconds between two cancellations of what outlasts its grace."""


class Ratings:
    """Rates answers concurrently, each in a separate asyncio task.

    A caller that is cancelled leaves its ratings running: what they bring is in the judge's cache, and
    `drain` waits for it. A judge takes a first cancellation as "send nothing more": what it has sent arrives
    and is kept.

    Args:
        judge: Rates the answers.
        trace: Takes note of when each was rated.
        count_unanswered: Whether a turn without an answer is a judgment without a rating: it is where the
            model was asked, and is not where answers come from a file that may be short.
    """

    def __init__(self, judge: Judge, trace: Trace | None = None, *, count_unanswered: bool = False) -> None:
        self._judge = judge
        self._count_unanswered = count_unanswered
        self._trace = trace or Trace()
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
        """Have nothing more sent, wait up to `grace` seconds for what is on the wire, then give it up."""
        await self._cancel(grace)
        while self._running:
            # Again and again: of two cancellations before a task's next step only one arrives.
            await self._cancel(_HARD_STOP)

    async def _cancel(self, seconds: float) -> None:
        running = list(self._running)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=seconds)
            await asyncio.sleep(0)

    async def _rate(self, question: Question, answer: Answer) -> Rated:
        with self._trace.span("judge", f"question {question.question_id}"):
            judgments = await self._judge.judge(question, answer)
        missing = self._unanswered(question, answer) if self._count_unanswered else []
        return answer, [*judgments, *missing]

    def _unanswered(self, question: Question, answer: Answer) -> list[Unrated]:
        """The turns that got no answer, for the coverage: they must not vanish from the count."""
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
            task.exception()  # seen here, so that a second failure is not reported as unhandled


async def all_rated(tasks: Sequence[asyncio.Task[Rated]]) -> list[Rated]:
    """The results of `tasks`, in their order; raises the first failure as soon as it happens."""
    await first_failure(tasks)
    return [task.result() for task in tasks]
