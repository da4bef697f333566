"""Trials, the best first: by the one score that ranks them, however many are maximised."""

from __future__ import annotations

from collections.abc import Iterable

from tvmerge.records import Trial


def ranked(trials: Iterable[Trial]) -> list[Trial]:
    """The scored trials, the best first, the earlier of equals first."""
    scored = [(-t.overall, t.number, t) for t in trials if t.scored and t.overall is not None]
    return [trial for *_, trial in sorted(scored, key=lambda row: row[:2])]


def best_of(trials: Iterable[Trial]) -> Trial | None:
    """The scored trial with the highest score, the earliest of equals."""
    return next(iter(ranked(trials)), None)
