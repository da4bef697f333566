"""Converts Optuna's trials."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tvmerge.errors import StudyError
from tvmerge.records import Recipe, Trial
from tvmerge.report.course import TrialTimes

if TYPE_CHECKING:
    from datetime import datetime

    from optuna.trial import FrozenTrial

    from tvmerge.study.space import Space


def trial_of(row: FrozenTrial, space: Space | None = None) -> Trial:
    """Convert a trial of Optuna to a `Trial`.

    Args:
        row: Optuna's trial.
        space: Gives the order of the weights; None keeps that of the storage.

    Raises:
        StudyError: The trial lacks a weight.
    """
    try:
        recipe = Recipe(row.params) if space is None else space.recipe(row.params)
    except KeyError as error:
        raise StudyError(
            f"trial {row.number} is damaged: it has no weight {error}; restore the database from a copy"
        ) from error
    return Trial(
        number=row.number,
        recipe=recipe,
        value=row.values[0] if row.values else None,
        state=row.state.name,
        attrs=dict(row.user_attrs),
        values=tuple(row.values or ()),
    )


def times_of(rows: Iterable[FrozenTrial]) -> dict[int, TrialTimes]:
    """Return when each of Optuna's trials was asked and ended, by number."""
    return {
        row.number: TrialTimes(_seconds(row.datetime_start), _seconds(row.datetime_complete)) for row in rows
    }


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
