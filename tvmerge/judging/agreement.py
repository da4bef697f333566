"""Measures how far judges agree with each other and with themselves."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tvmerge._util.canonical import digest
from tvmerge.judging.prompts.kinds import ALL_TURNS
from tvmerge.records import Answer, Judgment, Rating


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far judges agree, with each other and with themselves.

    Attributes:
        units: Turns of answers that at least two judges rated.
        difference: Mean absolute difference between two judges' ratings of one turn, in points; nan without
            such a turn.
        alpha: Krippendorff's alpha for interval data: 1 is agreement, 0 is chance; nan if all ratings are
            the same or no two judges rated the same turn.
        noise: Standard deviation of one judge's repeated ratings of one turn, in points; nan if no judge
            rated anything twice. It contributes noise / sqrt(n) to the standard error of a mean over n
            ratings.
    """

    units: int
    difference: float
    alpha: float
    noise: float

    def as_json(self) -> dict[str, float | None]:
        """Return the form stored in `result.json`; undefined values are null."""
        return {
            "units": self.units,
            "mean_difference": _defined(self.difference),
            "alpha": _defined(self.alpha),
            "noise": _defined(self.noise),
        }


def agreement(rated: Iterable[tuple[Answer, Iterable[Judgment]]]) -> Agreement | None:
    """Compute how far judges agree with each other, and each with itself.

    Only ratings of the same text are compared: a judge that rates two answers to a question differently is
    not noisy. A text that several models wrote counts once, and so does a model that is listed under two
    names. Scores that no judge gave, like that of an empty answer, do not count. (Krippendorff, Content
    Analysis, 2004, chapter 11.)

    Args:
        rated: Answers, each with its judgments.

    Returns:
        The agreement, or None if no turn was rated twice. To compare judges, the mean of a judge's samples
        is used as its rating.
    """
    turns = _by_turn(rated)
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
    """Return the standard deviation of a judge's ratings of one turn, pooled over judges and turns."""
    squares = 0.0
    degrees = 0
    for by_judge in turns:
        for scores in by_judge.values():
            mean = sum(scores) / len(scores)
            squares += sum((score - mean) ** 2 for score in scores)
            degrees += len(scores) - 1
    return math.sqrt(squares / degrees) if degrees else math.nan


def _by_turn(rated: Iterable[tuple[Answer, Iterable[Judgment]]]) -> list[dict[str, list[float]]]:
    """Return the ratings by judge for each judged turn, identified by its text and everything before it.

    If a judge rated all turns in one request, the whole conversation identifies it, since that judge saw it.
    """
    found: dict[tuple[object, ...], dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for answer, judgments in rated:
        judged = tuple(judgments)
        whole = any(judgment.prompt.endswith(ALL_TURNS) for judgment in judged)
        for judgment in judged:
            if isinstance(judgment, Rating) and (judgment.reply or not judgment.note):
                text = digest(answer.turns if whole else answer.turns[: judgment.turn])
                turn = found[judgment.question_id, judgment.turn, text]
                turn[judgment.judge][judgment.sample] = judgment.score
    return [{judge: list(ratings.values()) for judge, ratings in turn.items()} for turn in found.values()]


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


def _squares(values: Sequence[float]) -> float:
    """Return the sum of squared differences over all ordered pairs: 2n times the squared deviations."""
    mean = sum(values) / len(values)
    return 2 * len(values) * sum((value - mean) ** 2 for value in values)
