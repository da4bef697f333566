"""The interfaces between the stages of a run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, runtime_checkable

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
    """Turns recipes into tensors, one at a time, without holding a whole merged model."""

    @property
    def group_names(self) -> Sequence[str]:
        """Names of a recipe's weights, in model order."""

    @property
    def fingerprint(self) -> Mapping[str, str]:
        """Return digests, by readable name, of everything but the recipe that affects the merged tensors."""

    def merge(self, recipe: Recipe) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield the name in the checkpoint and the value, in the output dtype, of every merged tensor.

        The consumer may keep the tensors; they share no memory with the sources.

        Raises:
            CheckpointError: A weight is missing, unknown or not finite, or a source tensor holds NaN or inf.
        """


@runtime_checkable
class AcceleratedMerger(Merger, Protocol):
    """A merger that keeps sources next to live models on accelerators."""

    source_room: int | None
    """Bytes of an accelerator that sources may take; None leaves a quarter of its memory free."""

    @property
    def remarks(self) -> Sequence[str]:
        """What was slower than it could be so far, and why, one line each."""

    def release(self) -> None:
        """Free what is held on accelerators; a later merge restores it."""


class Engine(Protocol):
    """A live model that takes on any recipe in place and answers questions, one call at a time.

    Every call may raise `EngineLostError`: the engine is gone for good, and the answers it has not yielded
    must come from another engine.
    """

    @property
    def capabilities(self) -> Capabilities:
        """The engine's name, context length and guarantees."""

    async def apply(self, recipe: Recipe) -> None:
        """Load the merged model of `recipe`. Must not be called while `generate` runs.

        Raises:
            CheckpointError: The model cannot be loaded, or the recipe does not fit it.
        """

    def generate(
        self, questions: Sequence[Question], sampling: Sampling
    ) -> AsyncGenerator[tuple[Answer, ...], None]:
        """Answer all turns of every question, yielding each micro-batch of answers once it is complete.

        Answers come in any order. If `capabilities.exact` is true, the same recipe, question and sampling
        give the same answer whatever else is in the batch. If the model's own earlier answers make a
        conversation outgrow the context, its remaining turns are left unanswered: the answer's `turns` is
        then shorter than the question's.

        Raises:
            AssetError: A question, named in the message, does not fit the context, and `sampling.truncate`
                is false.
        """

    async def loglikelihood(self, pairs: Sequence[Continuation]) -> Sequence[LogLikelihood]:
        """Return the log-likelihood of each continuation, in the order given.

        Raises:
            AssetError: A pair does not fit the context.
        """

    async def close(self) -> None:
        """Free the model."""


@runtime_checkable
class RemarkingEngine(Protocol):
    """An engine that reports how it works, such as that it had to take a slower way."""

    @property
    def remarks(self) -> Sequence[str]:
        """Everything to report so far, one line each."""


class IdentifiedEngine(Engine, Protocol):
    """An engine with a fingerprint, as passed to the Python API."""

    @property
    def fingerprint(self) -> Mapping[str, object]:
        """Everything but recipe, question and sampling that affects an answer, as plain JSON data."""


class Pool(Protocol):
    """A set of engines shared by all candidates: takes a recipe and questions, returns answers."""

    def answer(
        self,
        recipe: Recipe,
        questions: Sequence[Question],
        sampling: Sampling,
        *,
        wave: int | None = None,
    ) -> AsyncGenerator[tuple[Answer, ...], None]:
        """Answer as `Engine.generate` does, with the merged model of `recipe`, as soon as an engine is free.

        Every (question, sample) is answered exactly once, even if engines are lost and replaced. Closing
        the stream early frees the engine at once, even in the middle of a batch.

        Args:
            recipe: The candidate.
            questions: The questions to answer.
            sampling: How its answers are drawn.
            wave: Answer in waves, in the order given and without merging again: first this many questions,
                then each time as many as in all waves before. All answers of a wave come before the first of
                the next. Answers that are stored already or were prefetched by a task may come first and
                belong to no wave. None: all questions at once.

        Raises:
            UserError: Raised by an engine, or no engine can be kept alive.
        """

    async def loglikelihood(self, recipe: Recipe, pairs: Sequence[Continuation]) -> Sequence[LogLikelihood]:
        """Return what `Engine.loglikelihood` does, with the merged model of `recipe`."""

    async def close(self) -> None:
        """Free all engines."""


class Judge(Protocol):
    """Rates answers."""

    @property
    def name(self) -> str:
        """Name of the judge, as it appears in files and reports."""

    @property
    def fingerprint(self) -> Mapping[str, object]:
        """Everything that affects a rating (model, prompts, parameters), as JSON data without secrets."""

    async def judge(self, question: Question, answer: Answer) -> Sequence[Judgment]:
        """Rate `answer`: one judgment for each judged turn, in order of turns.

        A bad reply gives an `Unrated` judgment, not an exception.

        Raises:
            UserError, QuotaError, BudgetError: Continuing would only waste money or time.
        """

    async def close(self) -> None:
        """Free connections."""


@runtime_checkable
class ComparingJudge(Protocol):
    """A `Judge` that compares answers with a baseline's, or wraps judges that may do so."""

    def with_baseline(self, answers: Mapping[QuestionId, Answer]) -> Judge:
        """Return a judge like this one that compares with these answers and shares its connections."""


class Race(Protocol):
    """Watches a candidate's ratings arrive and decides when to stop it early."""

    @property
    def interim_checks(self) -> Sequence[int]:
        """The numbers of questions, ascending and in the order asked, after which to call `should_prune`."""

    @property
    def wave(self) -> int:
        """The number of questions in the first wave; divides every one of `interim_checks`."""

    def should_prune(self, judgments: Sequence[Judgment]) -> bool:
        """Return whether to stop, given all judgments up to an interim check; depends on nothing else."""


class Numbered(Protocol):
    """Something a study asks, numbered in the order of asking."""

    @property
    def number(self) -> int:
        """Its place among all that was asked, from 0."""


Asked_co = TypeVar("Asked_co", bound=Numbered, covariant=True)


class AskAndTell(Protocol[Asked_co]):
    """A search with an ask-and-tell interface; both calls are made in order of number."""

    @property
    def asked(self) -> int:
        """How many asks were made."""

    @property
    def told(self) -> int:
        """How many asks have been told, which are the first ones."""

    @property
    def may_ask(self) -> bool:
        """Return whether the window has room for one more running ask."""

    def running(self) -> Sequence[Asked_co]:
        """Return what was asked but not told, whether by this run or by an interrupted one."""

    def ask(self) -> Asked_co:
        """Return the next ask, after storing it."""


class Study(AskAndTell[Trial], Protocol):
    """A search that asks whole trials."""

    @property
    def trials(self) -> Sequence[Trial]:
        """All trials so far, in order of number."""

    def tell(
        self,
        number: int,
        values: float | Sequence[float] | None,
        attrs: Mapping[str, Any],
        *,
        state: Literal["COMPLETE", "PRUNED"] = "COMPLETE",
    ) -> None:
        """Record a trial's score, or one score per objective; None if the trial failed.

        With state PRUNED the trial was stopped early, and `values` is an estimate from the first
        `attrs["questions"]` questions.
        """

    def best_known_at(self, number: int) -> Trial | None:
        """Return the best of the trials that had been told when trial `number` was asked; None without one.

        It is the same after a resume, and after a finished study is extended.
        """
