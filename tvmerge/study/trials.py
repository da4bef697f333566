"""Converts Optuna's trials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tvmerge.errors import StudyError
from tvmerge.records import Recipe, Trial
from tvmerge.report.course import TrialTimes

if TYPE_CHECKING:
    from datetime import datetime

    from optuna.trial import FrozenTrial

    from tvmerge.study.space import Space
    from tvmerge.study.store.base import Times


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


def times_of(stored: Mapping[int, Times]) -> dict[int, TrialTimes]:
    """Convert when each trial was asked and ended, by number."""
    return {number: TrialTimes(_seconds(begun), _seconds(ended)) for number, (begun, ended) in stored.items()}


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
