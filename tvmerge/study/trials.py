"""Converts Optuna's trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvmerge.records import Recipe, Trial

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from tvmerge.study.space import Space


def trial_of(row: FrozenTrial, space: Space | None = None) -> Trial:
    """Convert a trial of Optuna to a `Trial`.

    Args:
        row: Optuna's trial.
        space: Gives the order of the weights; None keeps that of the storage.
    """
    return Trial(
        number=row.number,
        recipe=Recipe(row.params) if space is None else space.recipe(row.params),
        value=row.values[0] if row.values else None,
        state=row.state.name,
        attrs=dict(row.user_attrs),
        values=tuple(row.values or ()),
    )
