"""Rows of a study's table, the best first: by the one score that ranks them, however many are maximised."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tvmerge.records import OVERALL

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


def best_first(rows: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """The scored rows, the best first, the earlier of equals first; one that was stopped early is not scored.

    It is the order of `tvmerge.records.Trial.overall`.
    """
    scored = (row for row in rows if row.state.name == "COMPLETE")
    return sorted(scored, key=lambda row: (-_overall(row), row.number))


def _overall(row: FrozenTrial) -> float:
    """The weighted mean where several scores are maximised: they differ in scale, so a sum says nothing."""
    return float(row.user_attrs.get(OVERALL, row.values[0]))
