"""What the figures show, as data: taken from a result here, drawn in `tvmerge.report.figures`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tvmerge.records import Estimate, Trial
from tvmerge.report.numbers import Z95, count, estimate, score, weight
from tvmerge.report.result import Contender, ContenderKey, RunRecord
from tvmerge.report.terminal.table import in_row_order

_MOST_WHISKERS = 100


@dataclass(frozen=True, slots=True)
class Point:
    """A trial with a score.

    Attributes:
        number: The trial.
        score: Its score.
        se: Its standard error, or None where it is not known.
    """

    number: int
    score: float
    se: float | None


@dataclass(frozen=True, slots=True)
class Reference:
    """A level to compare with.

    Attributes:
        key: The contender it belongs to.
        label: What it is called in a figure.
        value: The level.
    """

    key: ContenderKey
    label: str
    value: float


@dataclass(frozen=True, slots=True)
class HistoryFigure:
    """How the search went.

    Attributes:
        points: Trials with a score, in order of number.
        stopped: Trials that the race stopped, with the estimate of their score, in order of number.
        running_best: The trials that were better than all before, in order of number.
        failed: Numbers of the trials that failed.
        references: The baselines' scores on the same questions.
        whiskers: Whether the standard errors are shown: hundreds of error bars hide what they belong to.
        description: The figure in words.
    """

    points: tuple[Point, ...]
    stopped: tuple[Point, ...]
    running_best: tuple[Point, ...]
    failed: tuple[int, ...]
    references: tuple[Reference, ...]
    whiskers: bool
    description: str


@dataclass(frozen=True, slots=True)
class WeightsFigure:
    """The weights of the best.

    Attributes:
        weights: Group and weight, in model order.
        bounds: Bounds of the search.
        one: What weight 1 is.
        description: The figure in words.
    """

    weights: tuple[tuple[str, float], ...]
    bounds: tuple[float, float]
    one: str
    description: str


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its normal 95% interval; the bounds equal the mean where the error is not known."""

    mean: float
    low: float
    high: float
    text: str


@dataclass(frozen=True, slots=True)
class ContenderRow:
    """A contender's two scores; None where there is none."""

    key: ContenderKey
    label: str
    search: Interval | None
    holdout: Interval | None


@dataclass(frozen=True, slots=True)
class ContendersFigure:
    """The contenders side by side."""

    rows: tuple[ContenderRow, ...]
    description: str


def history(result: RunRecord) -> HistoryFigure:
    """The scores of all trials, in the order they were told."""
    points = tuple(_points(result.trials, "COMPLETE"))
    stopped = tuple(_points(result.trials, "PRUNED"))
    failed = tuple(trial.number for trial in result.trials if trial.state == "FAIL")
    record = tuple(_records(points))
    words = f"{count(len(points), 'trial')} with a score, {len(stopped)} stopped early, {len(failed)} failed."
    if record:
        words += f" The best is trial {record[-1].number} with {score(record[-1].score)}."
    return HistoryFigure(
        points=points,
        stopped=stopped,
        running_best=record,
        failed=failed,
        references=tuple(_references(result)),
        whiskers=len(points) <= _MOST_WHISKERS,
        description=words,
    )


def weights(result: RunRecord) -> WeightsFigure:
    """The best's weight of each group, in model order."""
    values = tuple(result.contenders[0].weights.items())
    words = f"{count(len(values), 'weight')} in model order"
    if values:
        smallest, largest = min(values, key=lambda v: v[1]), max(values, key=lambda v: v[1])
        words += (
            f"; the smallest is {weight(smallest[1])} ({smallest[0]}), "
            f"the largest {weight(largest[1])} ({largest[0]})"
        )
    whole = result.contender("weight_1")
    one = "sparse" if whole is not None and whole.sparse else "plain"
    return WeightsFigure(weights=values, bounds=result.weight_range, one=one, description=f"{words}.")


def contenders(result: RunRecord) -> ContendersFigure:
    """Search and held-out scores of the contenders, baselines first."""
    rows = tuple(
        ContenderRow(c.key, _short_name(c), _interval(c.search), _interval(c.holdout))
        for c in in_row_order(result)
    )
    words = "; ".join(f"{row.label}: {_words(row)}" for row in rows)
    return ContendersFigure(rows=rows, description=f"Scores with 95% intervals. {words}.")


def standard_error(trial: Trial) -> float | None:
    """The standard error recorded with a trial's score, or None where it is not known."""
    se = trial.attrs.get("se")
    return float(se) if isinstance(se, int | float) and math.isfinite(se) else None


def _points(trials: Sequence[Trial], state: str) -> Iterator[Point]:
    for trial in trials:
        if trial.state == state and trial.overall is not None and math.isfinite(trial.overall):
            yield Point(trial.number, trial.overall, standard_error(trial))


def _records(points: Sequence[Point]) -> Iterator[Point]:
    best = -math.inf
    for point in points:
        if point.score > best:
            best = point.score
            yield point


def _references(result: RunRecord) -> Iterator[Reference]:
    for key in ("weight_0", "weight_1", "uniform"):
        contender = result.contender(key)
        if contender is not None and math.isfinite(contender.search.mean):
            yield Reference(key, _short_name(contender), contender.search.mean)


def _short_name(contender: Contender) -> str:
    if contender.key == "uniform":
        return f"uniform {weight(next(iter(contender.weights.values())))}"
    return contender.key.replace("_", " ")


def _interval(value: Estimate | None) -> Interval | None:
    if value is None or not math.isfinite(value.mean):
        return None
    half = Z95 * value.se if math.isfinite(value.se) else 0.0
    return Interval(value.mean, value.mean - half, value.mean + half, estimate(value))


def _words(row: ContenderRow) -> str:
    parts = [("search", row.search), ("held-out", row.holdout)]
    return ", ".join(f"{part} {found.text}" for part, found in parts if found is not None) or "no score"
