"""Several judges instead of one, and how far judges agree, with each other and with themselves."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvmerge.errors import ConfigError
from tvmerge.judging.opinion import together
from tvmerge.records import Answer, Judgment, Question, Verdict

if TYPE_CHECKING:
    from tvmerge.protocols import Judge


class PanelJudge:
    """Asks several judges; their ratings are pooled in the mean.

    Args:
        judges: The judges.

    Raises:
        ConfigError: Two have the same name, so that their ratings could not be told apart.
    """

    def __init__(self, judges: Sequence[Judge]) -> None:
        names = [judge.name for judge in judges]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(
                    f"the judge '{name}' is named twice; for several ratings use --judge-samples"
                )
        self._judges = tuple(judges)

    @property
    def name(self) -> str:
        """The judges' names."""
        return "+".join(judge.name for judge in self._judges)

    @property
    def fingerprint(self) -> Mapping[str, object]:
        """All that decides each one's ratings."""
        return {"panel": {judge.name: dict(judge.fingerprint) for judge in self._judges}}

    async def judge(self, question: Question, answer: Answer) -> Sequence[Judgment]:
        """The ratings of all judges: by turn, then by judge, then by sample."""
        opinions = await together(self._ask(judge, question, answer) for judge in self._judges)
        pooled = [judgment for judgments in opinions for judgment in judgments]
        return sorted(pooled, key=lambda judgment: judgment.turn)

    async def close(self) -> None:
        """Close all judges."""
        for judge in self._judges:
            await judge.close()

    @staticmethod
    async def _ask(judge: Judge, question: Question, answer: Answer) -> Sequence[Judgment]:
        return await judge.judge(question, answer)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far judges agree, with each other and with themselves.

    Attributes:
        units: Turns that at least two judges rated.
        difference: Mean absolute difference between two judges' ratings of one turn, in points; nan without
            such a turn.
        alpha: Krippendorff's alpha for interval data: 1 is agreement, 0 is chance; nan where all ratings are
            the same or no two judges rated one turn.
        noise: Standard deviation of one judge's repeated ratings of one turn, in points; nan where nothing
            was rated twice by one judge. A mean over n ratings owes noise / sqrt(n) of its standard error
            to the judge.
    """

    units: int
    difference: float
    alpha: float
    noise: float

    def as_json(self) -> dict[str, float | None]:
        """As it stands in `result.json`; what is not defined is null."""
        return {
            "units": self.units,
            "mean_difference": _defined(self.difference),
            "alpha": _defined(self.alpha),
            "noise": _defined(self.noise),
        }


def agreement(evaluations: Iterable[Iterable[Judgment]]) -> Agreement | None:
    """How far the judges of a panel agree with each other, and each with itself.

    Args:
        evaluations: The judgments of each candidate's answers.

    Returns:
        The agreement, or None where no turn was rated twice. Between judges the mean of a judge's samples is
        its rating. (Krippendorff, Content Analysis, 2004, chapter 11.)
    """
    turns = list(_ratings(evaluations))
    noise = _noise(turns)
    units = [
        [sum(scores) / len(scores) for scores in by_judge.values()] for by_judge in turns if len(by_judge) > 1
    ]
    if not units:
        return None if math.isnan(noise) else Agreement(0, math.nan, math.nan, noise)
    values = [value for unit in units for value in unit]
    observed = sum(_squares(unit) / (len(unit) - 1) for unit in units) / len(values)
    expected = _squares(values) / (len(values) * (len(values) - 1))
    differences = [abs(a - b) for unit in units for index, a in enumerate(unit) for b in unit[index + 1 :]]
    return Agreement(
        units=len(units),
        difference=sum(differences) / len(differences),
        alpha=1 - observed / expected if expected > 0 else math.nan,
        noise=noise,
    )


def _noise(turns: Iterable[Mapping[str, Sequence[float]]]) -> float:
    """Standard deviation of a judge's ratings of one turn, pooled over judges and turns."""
    squares = 0.0
    degrees = 0
    for by_judge in turns:
        for scores in by_judge.values():
            mean = sum(scores) / len(scores)
            squares += sum((score - mean) ** 2 for score in scores)
            degrees += len(scores) - 1
    return math.sqrt(squares / degrees) if degrees else math.nan


def _ratings(evaluations: Iterable[Iterable[Judgment]]) -> Iterable[Mapping[str, Sequence[float]]]:
    """For each turn of each answer the ratings by judge."""
    for judgments in evaluations:
        turns: dict[tuple[object, int], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for judgment in judgments:
            if isinstance(judgment, Verdict):
                turns[judgment.question_id, judgment.turn][judgment.judge].append(judgment.score)
        yield from turns.values()


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


def _squares(values: Sequence[float]) -> float:
    """Sum of squared differences over all ordered pairs of `values`, which is 2n times their squares."""
    mean = sum(values) / len(values)
    return 2 * len(values) * sum((value - mean) ** 2 for value in values)


if TYPE_CHECKING:
    _judge: type[Judge] = PanelJudge
