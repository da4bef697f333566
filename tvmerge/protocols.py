"""The interfaces between the stages: what each promises, in prose and in types."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from tvmerge.records import (
    Answer,
    Capabilities,
    Continuation,
    Judgment,
    LogLikelihood,
    Question,
    QuestionId,
    Recipe,
    Sampling,
    Trial,
)

if TYPE_CHECKING:
    import torch


class Merger(Protocol):
    """Turns recipes into tensors, one at a time, never holding a whole merged model."""

    @property
    def group_names(self) -> Sequence[str]:
        """Names of the weights a recipe has, in model order."""

    @property
    def fingerprint(self) -> Mapping[str, str]:
        """Digests of everything but the recipe that decides the merged tensors, by a readable name."""

    def merge(self, recipe: Recipe) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield every tensor of the merged model, by its checkpoint name and in the output dtype.

        A yielded tensor is the consumer's to keep; it shares no memory with the sources.

        Raises:
            CheckpointError: A weight is missing, unknown or not finite, or a source tensor holds NaN or inf.
        """


class Engine(Protocol):
    """A live model that becomes any recipe in place and answers questions, one call at a time.

    Every call may raise `EngineLostError`: the engine is gone for good, and what it had not yielded is to be
    asked of another.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What it is and what may be expected of it."""

    async def apply(self, recipe: Recipe) -> None:
        """Become the merged model of `recipe`. Not while `generate` runs.

        Raises:
            CheckpointError: The model cannot be loaded, or the recipe does not fit it.
        """

    def generate(
        self, questions: Sequence[Question], sampling: Sampling
    ) -> AsyncGenerator[tuple[Answer, ...], None]:
        """Answer every question, all its turns; yield each micro-batch of answers as soon as it is complete.

        Answers come in any order. The same recipe, question and sampling give the same answer, whatever
        else is in the batch, where `capabilities.exact` says so. A turn whose conversation has outgrown the
        context by the model's own earlier answers is left unanswered: `turns` is shorter than the question's.

        Raises:
            AssetError: A question does not fit the context, and `sampling.truncate` is false; names it.
        """

    async def loglikelihood(self, pairs: Sequence[Continuation]) -> Sequence[LogLikelihood]:
        """How likely each continuation is, in the order given.

        Raises:
            AssetError: A pair does not fit the context.
        """

    async def close(self) -> None:
        """Free the model."""


class IdentifiedEngine(Engine, Protocol):
    """An engine that says what decides its answers, as one that a caller brings along must."""

    @property
    def fingerprint(self) -> Mapping[str, object]:
        """Everything but recipe, question and sampling that decides an answer, as plain JSON data."""


class Pool(Protocol):
    """Engines that candidates take turns on: a recipe and questions go in, answers come out."""

    def answer(
        self,
        recipe: Recipe,
        questions: Sequence[Question],
        sampling: Sampling,
        *,
        wave: int | None = None,
    ) -> AsyncGenerator[tuple[Answer, ...], None]:
        """Answer as `Engine.generate` does, with the merged model of `recipe`, as soon as an engine is free.

        Every (question, sample) is answered exactly once, whatever happens to engines meanwhile. Closing the
        stream early frees the engine at once, also in the middle of a batch.

        Args:
            recipe: The candidate.
            questions: What it is asked.
            sampling: How its answers are drawn.
            wave: Answer in waves of that many questions, in the order given and without merging again: all
                answers of a wave come before the first of the next. What is stored already, and what a task
                has asked ahead, may come first and counts for no wave. None: all questions together.

        Raises:
            UserError: As an engine raises it, or no engine can be kept alive.
        """

    async def loglikelihood(self, recipe: Recipe, pairs: Sequence[Continuation]) -> Sequence[LogLikelihood]:
        """As `Engine.loglikelihood`, with the merged model of `recipe`."""

    async def close(self) -> None:
        """Free all engines."""


class Judge(Protocol):
    """Rates answers."""

    @property
    def name(self) -> str:
        """Name of the judge, as it appears in files and reports."""

    @property
    def fingerprint(self) -> Mapping[str, object]:
        """Everything that decides a rating (model, prompts, parameters), as plain JSON data, no secrets."""

    async def judge(self, question: Question, answer: Answer) -> Sequence[Judgment]:
        """Rate `answer`: one judgment for each judged turn, in order of turns.

        Never raises for a bad reply (that is `Unrated`); raises `UserError`, `QuotaError` or `BudgetError`
        where continuing would only waste money or time.
        """

    async def close(self) -> None:
        """Free connections."""


@runtime_checkable
class ComparingJudge(Protocol):
    """A `Judge` that compares answers with a baseline's, or wraps judges that may do so."""

    def against(self, answers: Mapping[QuestionId, Answer]) -> Judge:
        """The same judge, comparing with these answers; it shares its connections with this one."""


class Race(Protocol):
    """Watches the ratings of a candidate come in, and says when it is not worth continuing."""

    @property
    def looks(self) -> Sequence[int]:
        """After how many of the questions, in the order they are asked, it is to be asked; rising."""

    @property
    def wave(self) -> int:
        """Questions that are answered together; divides every look."""

    def should_prune(self, judgments: Sequence[Judgment]) -> bool:
        """Whether to stop, given all judgments of the questions up to a look; depends on nothing else."""


class Study(Protocol):
    """A search with ask and tell, each in order of trial number."""

    @property
    def trials(self) -> Sequence[Trial]:
        """All trials so far, in order of number."""

    @property
    def asked(self) -> int:
        """How many trials have been asked."""

    @property
    def told(self) -> int:
        """How many trials have been told; they are the first ones."""

    @property
    def may_ask(self) -> bool:
        """Whether the window has room for one more trial in flight."""

    def running(self) -> Sequence[Trial]:
        """Trials asked and not told, whether by this run or by one that was interrupted."""

    def ask(self) -> Trial:
        """The next candidate, stored before this returns."""

    def tell(
        self,
        number: int,
        values: float | Sequence[float] | None,
        attrs: Mapping[str, Any],
        *,
        state: Literal["COMPLETE", "PRUNED"] = "COMPLETE",
    ) -> None:
        """Record a trial's score, or one score per objective; None: it failed.

        PRUNED says that it was stopped early and `values` is an estimate from `attrs["questions"]` questions.
        """

    def known_at(self, number: int) -> Sequence[Trial]:
        """The trials that were told when trial `number` was asked, whatever was told since.

        They are the same after a resume, and where a finished study is made longer.
        """
