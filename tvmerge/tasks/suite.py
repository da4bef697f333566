"""The questions of a run, and the judges that rate the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tvmerge.engines.holding_pool import HoldingPool
from tvmerge.judging.batch.batching import Batching
from tvmerge.judging.client.ledger import Ledger
from tvmerge.judging.judges.anchored import Anchor
from tvmerge.judging.judges.comparing import with_baseline
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
    """The questions of a run, and the judges that rate the answers.

    Attributes:
        benchmark: The benchmark, or several combined, with the references for the judges.
        parts: Each benchmark's part in the objective.
        folders: The folders of the benchmarks.
        specs: The judge, or the judges of a panel; then the anchor.
        rater: Rates the answers to the benchmarks; None if there are only tasks.
        ledger: Records what the judges have used.
        compares: Whether answers are compared with those of a baseline, which `with_baseline` sets
            before the first judgment.
        tasks: The tasks by kind, which rate themselves.
        on_servers: The judges that are asked over a network, which `check` asks.
        batching: State shared by the batches of all judges; None if requests are sent one by one.
        anchor: A judge that rates a sample of the answers in the search, and all of the held-out comparison.
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
    anchor: Anchor | None = None

    @property
    def confirming(self) -> TaskSuite:
        """The suite that rates held-out answers: with an anchor, that judge alone."""
        return self if self.anchor is None else replace(self, rater=self.anchor.judge, anchor=None)

    @property
    def anchor_name(self) -> str | None:
        """The name of the judge that rates a sample; None without one."""
        return None if self.anchor is None else self.anchor.judge.name

    @property
    def raters(self) -> str:
        """The names of all judges, as one name."""
        return "+".join(filter(None, (self.judge.name, self.anchor_name)))

    def rates_again(self, samples: int | None) -> bool:
        """Return whether a turn may get several ratings, from different judges or from one.

        Args:
            samples: Number of ratings of each turn by a judge; None for the values in the judge files.
        """
        own = self.rater is not None and not self.specs  # a caller's judge may do anything
        return own or len(self.specs) > 1 or any((samples or spec.samples) > 1 for spec in self.specs)

    @property
    def rated_by(self) -> str:
        """Who rates, for readers."""
        if self.anchor is None:
            return self.judge.name
        name, fraction = self.anchor.judge.name, self.anchor.fraction
        return f"{name} (in the search {self.judge.name}, with {name} for {fraction:.3g} of the answers)"

    async def close(self) -> None:
        """Close all judges, even if closing one fails."""
        async with AsyncExitStack() as last:
            if self.anchor is not None:
                last.push_async_callback(self.anchor.judge.close)
            last.push_async_callback(self.judge.close)

    @cached_property
    def judge(self) -> Judge:
        """The judge that rates all answers."""
        judge = self.rater
        for tasks in self.tasks:
            judge = tasks.judge(judge)
        assert judge is not None, "something is asked"
        return judge

    @property
    def rated_questions(self) -> tuple[Question, ...]:
        """The questions whose answers the judges rate, which are those of the benchmarks."""
        own = {question.question_id for tasks in self.tasks for question in tasks.questions}
        return tuple(q for q in self.benchmark.questions if q.question_id not in own)

    def with_baseline(self, answers: Mapping[QuestionId, Answer]) -> TaskSuite:
        """Return the suite set up to compare with these answers; unchanged if it does not compare."""
        return (
            replace(self, rater=with_baseline(self.rater, answers)) if self.compares and self.rater else self
        )

    def with_tasks(self, tasks: Tasks) -> TaskSuite:
        """Return the suite with additional tasks."""
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
        """Return the suite with the prompts of its tasks in the chat template, if the settings ask for it.

        Raises:
            UserError: The template is invalid, or fails on a document.
        """
        return replace(self, tasks=tuple(tasks.in_chat(chat, note) for tasks in self.tasks))

    def pool(self, pool: Pool, chat: ChatFormat, context: Callable[[], int | None]) -> Pool:
        """Return a pool that answers all questions; see `Tasks.pool`."""
        for tasks in self.tasks:
            pool = tasks.pool(pool, chat, context)
        return pool if self.batching is None else HoldingPool(pool, self.batching.hold)

    async def check_batches(self) -> None:
        """Check, free of charge, that the judges can be asked in batches if that is set.

        Raises:
            UserError, ProviderError: A judge cannot be asked in batches.
        """
        if self.batching is not None:
            await self.batching.check()

    async def check(self) -> None:
        """Ask each judge on a server to rate a test answer, never in a batch.

        Raises:
            ProviderError: A judge gives no rating, or cannot be asked.
            UserError, BudgetError: A judge cannot be asked.
        """
        if self.on_servers:
            with self.batching.live() if self.batching is not None else nullcontext():
                await check(self.on_servers, self.benchmark.questions[0])

    async def count_check(self) -> None:
        """Count the requests for the test answer of judges with a request counter."""
        if self.on_servers:
            await try_out(self.on_servers, self.benchmark.questions[0])
