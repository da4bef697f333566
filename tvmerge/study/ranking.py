"""Ranks trials by their overall score, also if there are several objectives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tvmerge.records import Trial
from tvmerge.study.blocks.table import asks_of


def ranked(trials: Iterable[Trial]) -> list[Trial]:
    """Return the scored trials, the best first and equal ones in their order."""
    scored = [(-t.overall, t.number, t) for t in trials if t.scored and t.overall is not None]
    return [trial for *_, trial in sorted(scored, key=lambda row: row[:2])]


def best_of(trials: Iterable[Trial]) -> Trial | None:
    """Return the scored trial with the highest score, the earliest of equal ones."""
    return next(iter(ranked(trials)), None)


def ranked_with_stopped(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials with a score, then those that a race stopped, each by score and the best first."""
    known = ranked_with_estimates(trials)
    numbers = {trial.number for trial in known}
    stopped = [t for t in trials if t.state == "PRUNED" and t.value is not None and t.number not in numbers]
    return [*known, *sorted(stopped, key=lambda t: (-(t.value or 0.0), t.number))]


def ranked_with_estimates(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials with a score, the best first; a race's estimates are none, those of blocks are.

    In a search by blocks, the estimate of a pruned trial is as good as that of a complete one.
    """
    estimated = [trial for trial in trials if asks_of(trial) and trial.value is not None]
    return sorted(estimated, key=lambda t: (-(t.value or 0.0), t.number)) if estimated else ranked(trials)
