"""The seams between the stages: what each promises, in prose and in types."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from tvmerge.records import Answer, Judgment, Question, Recipe, Sampling, Trial

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
    """A live model that becomes any recipe in place and answers questions."""

    async def apply(self, recipe: Recipe) -> None:
        """Become the merged model of `recipe`. Not while `generate` runs."""

    def generate(
        self, questions: Sequence[Question], sampling: Sampling
    ) -> AsyncIterator[tuple[Answer, ...]]:
        """Answer every question, all its turns; yield each micro-batch of answers as soon as it is complete.

        Answers come in any order. The same recipe, question and sampling give the same answer, whatever
        else is in the batch (in float32; 16-bit arithmetic can flip a token with the batch's composition).
        """

    async def close(self) -> None:
        """Free the model."""


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

        Never raises for a bad reply (that is `Unscored`); raises `UserError`, `QuotaError` or `BudgetError`
        where going on would only waste money or time.
        """

    async def close(self) -> None:
        """Free connections."""


class Study(Protocol):
    """A search that is asked for candidates and told their scores, each in order of trial number."""

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

    def tell(self, number: int, value: float | None, attrs: Mapping[str, Any]) -> None:
        """Record a trial's score; None: it failed."""
