"""What the figure of the search shows: the trials' scores, the best so far, the baselines and the winner."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tvmerge.records import MEAN, Trial
from tvmerge.report.conclusion import short_name
from tvmerge.report.language import tr
from tvmerge.report.numbers import score, standard_error
from tvmerge.report.result import ContenderKey, RunRecord

_MOST_WHISKERS = 100


@dataclass(frozen=True, slots=True)
class Point:
    """A trial with a score.

    Attributes:
        number: The trial.
        score: Its score.
        se: Its standard error, or None if unknown.
    """

    number: int
    score: float
    se: float | None


@dataclass(frozen=True, slots=True)
class Reference:
    """A level to compare with.

    Attributes:
        key: The contender with this score.
        label: Its name in the figure.
        value: The score.
    """

    key: ContenderKey
    label: str
    value: float


@dataclass(frozen=True, slots=True)
class HistoryFigure:
    """The data of the figure of the search.

    Attributes:
        points: Trials with a score, in order of number.
        stopped: Trials that the race stopped, with their estimated scores, in order of number.
        running_best: The trials that were better than all before, in order of number.
        failed: Numbers of the failed trials.
        references: The baselines' scores on the same questions.
        whiskers: Whether to show standard errors; hundreds of error bars would hide the points.
        description: The figure in words.
        best: The name of the best.
        winner: The winner of the held-out comparison, if it is not the best of the search.
    """

    points: tuple[Point, ...]
    stopped: tuple[Point, ...]
    running_best: tuple[Point, ...]
    failed: tuple[int, ...]
    references: tuple[Reference, ...]
    whiskers: bool
    description: str
    best: str
    winner: Point | None = None


def history(result: RunRecord) -> HistoryFigure:
    """Return the scores of all trials, in the order they were told."""
    if result.by_blocks:
        return _estimates(result)
    points = tuple(_points(result.trials, "COMPLETE"))
    stopped = tuple(_points(result.trials, "PRUNED"))
    failed = tuple(trial.number for trial in result.trials if trial.state == "FAIL")
    record = tuple(_records(points))
    words = tr(
        "{n} trials with a score, {stopped} stopped early, {failed} failed.",
        n=len(points),
        stopped=len(stopped),
        failed=len(failed),
    )
    if record:
        best = tr(
            "The best of the search is trial {n} with {score}.",
            n=record[-1].number,
            score=score(record[-1].score),
        )
        words += f" {best}"
    winner = _winner(result, points)
    if winner is not None:
        words += f" {named(winner)}"
    return HistoryFigure(
        points=points,
        stopped=stopped,
        running_best=record,
        failed=failed,
        references=tuple(_references(result)),
        whiskers=len(points) <= _MOST_WHISKERS,
        description=words,
        best=tr("best so far"),
        winner=None if record and winner == record[-1] else winner,
    )


def _winner(result: RunRecord, points: Sequence[Point]) -> Point | None:
    """Return the winner, if a held-out comparison named one."""
    best = result.contenders[0]
    if best.holdout is None:
        return None
    return next((point for point in points if point.number == best.trial), None)


def named(winner: Point) -> str:
    """Return a sentence that names the winner."""
    return tr(
        "The winner of the held-out comparison is trial {n} with {score}.",
        n=winner.number,
        score=score(winner.score),
    )


def _estimates(result: RunRecord) -> HistoryFigure:
    """The candidates of a search by blocks, each at its estimate; none was stopped by a race."""
    points = tuple(
        Point(trial.number, trial.attrs[MEAN], standard_error(trial))
        for trial in result.trials
        if trial.value is not None and MEAN in trial.attrs
    )
    failed = tuple(trial.number for trial in result.trials if trial.state == "FAIL")
    best = tuple(point for point in points if point.number == result.contenders[0].trial)
    words = tr("{n} candidates with an estimated score, {failed} failed.", n=len(points), failed=len(failed))
    if best:
        label = tr(result.contenders[0].label)
        at = score(best[0].score)
        words += " " + tr("The {label} is trial {n} with {score}.", label=label, n=best[0].number, score=at)
    return HistoryFigure(
        points=points,
        stopped=(),
        running_best=best,
        failed=failed,
        references=tuple(_references(result)),
        whiskers=len(points) <= _MOST_WHISKERS,
        description=words,
        best=tr(result.contenders[0].short),
    )


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
            yield Reference(key, short_name(contender), contender.search.mean)
