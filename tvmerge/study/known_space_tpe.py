"""TPE for a study whose trials all have the same parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from optuna.samplers import TPESampler

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution, FloatDistribution
    from optuna.trial import FrozenTrial

Rows = WeakKeyDictionary["Study", dict[int, list[float]]]
"""The parameters of a study's finished trials, by number, in the order of their names."""


class KnownSpaceTpe(TPESampler):
    """Optuna's multivariate TPE; it draws the same and reads each trial only once.

    Optuna's own compares the parameters of all trials before each draw, to find those that all have, and
    reads all of them again for the estimate. After 1,500 trials that is most of the time of a draw.

    Args:
        space: The parameters of every trial.
        rows: Where the parameters that were read are kept. Samplers of one study may share it.
        settings: Other arguments of `TPESampler`.
    """

    def __init__(self, space: Mapping[str, FloatDistribution], rows: Rows, **settings: Any) -> None:
        super().__init__(multivariate=True, **settings)
        self._space: dict[str, BaseDistribution] = {
            name: space[name] for name in sorted(space) if not space[name].single()
        }
        self._rows = rows

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the parameters that vary, which Optuna would find in the trials."""
        return dict(self._space)

    def _get_internal_repr(
        self, trials: list[FrozenTrial], search_space: dict[str, BaseDistribution], study: Study
    ) -> dict[str, np.ndarray[Any, Any]]:
        if search_space != self._space:
            return super()._get_internal_repr(trials, search_space, study)
        rows = self._rows.setdefault(study, {})
        table = [row for trial in trials if (row := self._row(trial, study, rows)) is not None]
        columns = np.array(table).reshape(len(table), len(search_space)).T
        return dict(zip(search_space, np.ascontiguousarray(columns), strict=True))

    def _row(self, trial: FrozenTrial, study: Study, rows: dict[int, list[float]]) -> list[float] | None:
        """Return the parameters of a trial; None if it lacks one, as only a running one can."""
        if trial.number in rows:
            return rows[trial.number]
        params = self._get_params(trial, study)
        if not self._space.keys() <= params.keys():
            return None
        row = [distribution.to_internal_repr(params[name]) for name, distribution in self._space.items()]
        if trial.state.is_finished():
            rows[trial.number] = row
        return row
