"""The best trials of several objectives."""

from __future__ import annotations

from collections.abc import Sequence

from tvmerge.records import Trial


def pareto_front(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """Return the scored trials that no other scored trial dominates, in the order given.

    A trial dominates another if it is at least as good in every objective and better in one. Equal trials do
    not dominate each other.
    """
    scored = [trial for trial in trials if trial.scored]
    return tuple(trial for trial in scored if not any(_dominates(other, trial) for other in scored))


def _dominates(one: Trial, other: Trial) -> bool:
    pairs = list(zip(one.values, other.values, strict=True))
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)
