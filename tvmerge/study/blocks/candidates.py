"""A candidate of a search by blocks as a trial: how it begins, how good it seems, how it ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tvmerge.records import MEAN, Recipe, Trial
from tvmerge.study.blocks.knowledge import CAUTION
from tvmerge.study.blocks.table import BLOCKS, Ask, asks_of, open_attrs
from tvmerge.study.study import distributions

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from tvmerge.study.space import Space
    from tvmerge.study.store.base import TrialResult

DECIMALS = 6
"""To which estimates are rounded, so that a study settled twice is settled alike."""


def running_trial(space: Space, recipe: Recipe, attrs: Mapping[str, Any], first: Ask) -> FrozenTrial:
    """Return the trial of a candidate that nobody has asked yet, with its first ask."""
    from optuna.trial import TrialState, create_trial

    trial: FrozenTrial = create_trial(
        state=TrialState.RUNNING,
        params=dict(recipe.weights),
        distributions=distributions(space),
        user_attrs={**attrs, BLOCKS: [first.row]},
    )
    trial.number = first.trial
    return trial


def estimated(trial: Trial, mean: float, sd: float) -> Trial:
    """Return a trial with the estimate of its score, given its mean and standard deviation."""
    value = round(mean - CAUTION * sd, DECIMALS)
    rated = [score for ask in asks_of(trial) for score in ask.scores or () if score is not None]
    known = {MEAN: round(mean, DECIMALS), "se": round(sd, DECIMALS), "n": len(rated)}
    return replace(trial, value=value, values=(value,), attrs={**trial.attrs, **known})


def ended(trial: Trial, result: TrialResult) -> Trial:
    """Return a trial as it is with a result, in place of one that it may have had."""
    return replace(
        trial,
        state=result.state,
        value=result.values[0] if result.values else None,
        values=result.values,
        attrs={**open_attrs(trial), **result.attrs},
    )
