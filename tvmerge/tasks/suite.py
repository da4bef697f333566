"""What is asked in a run or a judging, and who rates the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tvmerge.judging.batch.batching import Batching
from tvmerge.judging.client.ledger import Ledger
from tvmerge.judging.judges.comparing import against
from tvmerge.judging.judges.prompted import PromptedJudge
from tvmerge.judging.smoke_test import check, try_out
from tvmerge.judging.spec import JudgeSpec
from tvmerge.records import Answer, Question, QuestionId
from tvmerge.scoring.objective import Part
from tvmerge.tasks.base import Note, Tasks
from tvmerge.tasks.fastchat.benchmark import Benchmark

if TYPE_CHECKING:
    from tvmerge.engines.prompting.chat_format import ChatFormat
    from tvmerge.protocols import Judge, Pool


@dataclass(frozen=True)
class TaskSuite:
    """What is asked, and who judges the answers.

    Attributes:
        benchmark: The benchmark, or several as one, with the references that the judges see.
        parts: Each benchmark's part in the objective.
        folders: Where the benchmarks are.
        specs: The judge, or the judges of a panel.
        rater: Rates the answers to the benchmarks; None where tasks alone are asked.
        ledger: What the judges took.
        compares: Whether answers are compared with those of a baseline, which is to be given (`against`)
            before the first judgment.
        tasks: Tasks among what is asked, by their kind; they rate themselves.
        on_servers: The judges that are asked over a network: those that `check` asks.
        batching: What the batches of all judges have in common; None where they are asked one by one.
    """

    benchmark: Benchmark
    parts: tuple[Part, ...]
    folders: tuple[Path, ...]
    specs: tuple[JudgeSpec, ...]
    rater: Judge | None
    ledger: Ledger
    compares: bool = False
    tasks: tuple[Tasks, ...] = ()
    on_servers: tuple[PromptedJudge, ...] = ()
    batching: Batching | None = None

    @cached_property
    def judge(self) -> Judge:
        """Who rates all that is asked."""
        judge = self.rater
        for tasks in self.tasks:
            judge = tasks.judge(judge)
        assert judge is not None, "something is asked"
        return judge

    @property
    def rated_questions(self) -> tuple[Question, ...]:
        """The questions whose answers the judges rate: those of no task."""
        own = {question.question_id for tasks in self.tasks for question in tasks.questions}
        return tuple(q for q in self.benchmark.questions if q.question_id not in own)

    def against(self, answers: Mapping[QuestionId, Answer]) -> TaskSuite:
        """The same suite, comparing with these answers; itself where it does not compare."""
        return replace(self, rater=against(self.rater, answers)) if self.compares and self.rater else self

    def with_tasks(self, tasks: Tasks) -> TaskSuite:
        """The same suite, with tasks among what is asked."""
        benchmark = self.benchmark
        return replace(
            self,
            benchmark=replace(
                benchmark,
                name=" + ".join(filter(None, (benchmark.name, *tasks.names))),
                questions=(*benchmark.questions, *tasks.questions),
                stated=(*benchmark.stated, *tasks.questions),
            ),
            parts=(*self.parts, *tasks.parts),
            tasks=(*self.tasks, tasks),
        )

    def in_chat(self, chat: ChatFormat, note: Note) -> TaskSuite:
        """The same suite, with the prompts of its tasks in the chat template where the settings say so.

        Raises:
            UserError: The template is not usable, or fails on a document.
        """
        return replace(self, tasks=tuple(tasks.in_chat(chat, note) for tasks in self.tasks))

    def pool(self, pool: Pool, chat: ChatFormat, context: Callable[[], int | None]) -> Pool:
        """A pool that answers all that is asked; see `Tasks.pool`."""
        for tasks in self.tasks:
            pool = tasks.pool(pool, chat, context)
        return pool

    async def check_batches(self) -> None:
        """Check that judges that are to be asked in batches can be; this costs nothing.

        Raises:
            UserError, ProviderError: One cannot be.
        """
        if self.batching is not None:
            await self.batching.check()

    async def check(self) -> None:
        """Have each judge on a server rate a test answer, at once even where others are asked in batches.

        Raises:
            ProviderError: One gives no rating, or cannot be asked.
            UserError, BudgetError: One cannot be asked.
        """
        if self.on_servers:
            with self.batching.live() if self.batching is not None else nullcontext():
                await check(self.on_servers, self.benchmark.questions[0])

    async def count_check(self) -> None:
        """Put the test answer to judges that were built with a request counter."""
        if self.on_servers:
            await try_out(self.on_servers, self.benchmark.questions[0])
