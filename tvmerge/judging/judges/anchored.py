"""A second judge that rates a sample of the answers, and whose scale the score is on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvmerge._util.canonical import digest
from tvmerge._util.tasks import gather_or_cancel
from tvmerge.records import QuestionId, Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tvmerge.protocols import Judge
    from tvmerge.records import Answer, Judgment, Question

RULE = "sha256 of seed, weights and question"
"""Names in a study's fingerprint how the sample is drawn."""

_DECIMALS = 6  # of a weight; more than any candidates differ by
_HEX = 12  # digits of a digest that are compared with the fraction


@dataclass(frozen=True)
class Anchor:
    """A judge that rates a sample of the answers.

    Attributes:
        judge: The judge.
        fraction: The fraction of the answers that it rates, in (0, 1).
    """

    judge: Judge
    fraction: float

    @property
    def fingerprint(self) -> Mapping[str, object]:
        """What its ratings, and the choice of answers besides the seed, depend on."""
        return {
            "name": self.judge.name,
            "fraction": self.fraction,
            "sample": RULE,
            **self.judge.fingerprint,
        }

    def beside(self, judge: Judge, seed: int, recipe: Recipe) -> Judge:
        """Return a judge of one candidate's answers: `judge` rates all, and the anchor the sample."""
        return _WithAnchor(judge, self.judge, sample(seed, recipe, self.fraction))


def sample(seed: int, recipe: Recipe, fraction: float) -> Callable[[QuestionId], bool]:
    """Return whether a candidate's answer to a question belongs to the sample.

    It depends on nothing else: not on timing, nor on which other questions are asked.

    Args:
        seed: Root seed of the study.
        recipe: The candidate.
        fraction: The expected fraction of answers in the sample.
    """
    weights = {name: round(weight, _DECIMALS) + 0.0 for name, weight in recipe.weights.items()}
    candidate = digest([seed, weights])

    def holds(question: QuestionId) -> bool:
        return int(digest([candidate, question])[:_HEX], 16) < fraction * float(16**_HEX)

    return holds


class _WithAnchor:
    """Rates answers by one judge, and those of a sample by a second one as well."""

    def __init__(self, judge: Judge, anchor: Judge, sampled: Callable[[QuestionId], bool]) -> None:
        self._judge = judge
        self._anchor = anchor
        self._sampled = sampled

    @property
    def name(self) -> str:
        """The name of the judge that rates everything."""
        return self._judge.name

    @property
    def fingerprint(self) -> Mapping[str, object]:
        """The fingerprint of the judge that rates everything."""
        return self._judge.fingerprint

    async def judge(self, question: Question, answer: Answer) -> Sequence[Judgment]:
        """Return the judge's ratings, then those of the anchor if the answer is in the sample."""
        judges = [self._judge, *([self._anchor] if self._sampled(question.question_id) else [])]
        found = await gather_or_cancel(_rated(judge, question, answer) for judge in judges)
        return [judgment for judgments in found for judgment in judgments]

    async def close(self) -> None:
        """Leave both judges open, which rate other candidates too."""


async def _rated(judge: Judge, question: Question, answer: Answer) -> Sequence[Judgment]:
    return await judge.judge(question, answer)


if TYPE_CHECKING:
    _judge: type[Judge] = _WithAnchor
