"""Ranks trials by their overall score, also if there are several objectives."""

from __future__ import annotations

from collections.abc import Iterable

from tvmerge.records import Trial


def ranked(trials: Iterable[Trial]) -> list[Trial]:
    """Return the scored trials, the best first and equal ones in their order."""
    scored = [(-t.overall, t.number, t) for t in trials if t.scored and t.overall is not None]
    return [trial for *_, trial in sorted(scored, key=lambda row: row[:2])]


def best_of(trials: Iterable[Trial]) -> Trial | None:
    """Return the scored trial with the highest score, the earliest of equal ones."""
    return next(iter(ranked(trials)), None)
