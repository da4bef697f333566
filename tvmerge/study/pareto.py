"""Which trials are best where several scores count."""

from __future__ import annotations

from collections.abc import Sequence

from tvmerge.records import Trial


def pareto_front(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """The scored trials that no other scored trial dominates, in the order given.

    One dominates another if it is nowhere worse and somewhere better (Pareto); equals stand side by side.
    """
    scored = [trial for trial in trials if trial.scored]
    return tuple(trial for trial in scored if not any(_dominates(other, trial) for other in scored))


def _dominates(one: Trial, other: Trial) -> bool:
    pairs = list(zip(one.values, other.values, strict=True))
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)
