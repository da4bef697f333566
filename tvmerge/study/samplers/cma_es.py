"""CMA-ES as a function of the study's trials.

Optuna's sampler stores a pickled optimiser in the study, drops the results of trials that were in flight when
a generation ended, and is seeded by state that a resumed run does not have. This one is replayed from the
finished trials alone: each `population_size` of them, in order of number, form a generation, whichever
distribution they were drawn from (a trial in flight lags by at most one generation, which evolution
strategies tolerate). So it uses every trial, and resuming a study does not change its draws.

Hansen, "The CMA Evolution Strategy: A Tutorial", arXiv:1604.00772; the arithmetic is the cmaes package's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cmaes
import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from tvmerge.errors import ConfigError
from tvmerge.study.sampler_view import ENQUEUED
from tvmerge.study.samplers import Sampler, key
from tvmerge.study.seeds import derive_seed
from tvmerge.study.space import is_density

if TYPE_CHECKING:
    from optuna import Study

_Vector = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CmaEsSettings:
    """Settings of CMA-ES.

    Attributes:
        popsize: Trials in a generation; None takes 4 + floor(3 ln d) for d weights.
        sigma: Standard deviation of the first generation, as a fraction of the range.
        start: The weight that the first generation is drawn around; None is the middle of the range.
    """

    popsize: int | None = key(int, None, 4)
    sigma: float = key(float, 1 / 6, 1e-6, 1)
    start: float | None = key(float, None)


class CmaEsSampler(BaseSampler):
    """Covariance matrix adaptation over the unit cube of the weights.

    Args:
        search_space: The weights and their bounds; all floats, at least two that are not constant.
        seed: Root seed; the draw of a trial depends on it, the trial's number and the finished trials.
        population_size: Trials in a generation; None takes 4 + floor(3 ln d).
        sigma: Initial standard deviation in units of the range; default: 1/6, as in Optuna.
        start: The initial mean of the weights; None for the middle of each range, which is always used for
            densities.

    Raises:
        ConfigError: `start` is outside a weight's range.
    """

    def __init__(
        self,
        search_space: Mapping[str, FloatDistribution],
        seed: int,
        *,
        population_size: int | None = None,
        sigma: float = 1 / 6,
        start: float | None = None,
    ) -> None:
        self._space = {name: d for name, d in search_space.items() if not d.single()}
        self._low = np.array([d.low for d in self._space.values()])
        self._width = np.array([d.high for d in self._space.values()]) - self._low
        self._seed = seed
        self._population_size = population_size
        self._sigma = sigma
        self._optimizer = self._new_optimizer(self._initial_mean(start))
        self._constants = RandomSampler(seed=seed)

    def _initial_mean(self, start: float | None) -> _Vector:
        """Return the initial mean in the unit cube."""
        mean = np.full(len(self._space), 0.5)
        if start is not None:
            weights = np.array([not is_density(name) for name in self._space])
            mean[weights] = (start - self._low[weights]) / self._width[weights]
        if not ((mean >= 0) & (mean <= 1)).all():
            raise ConfigError(f"[sampler] start must be within the range of the weights, got {start:g}")
        return mean

    def _new_optimizer(self, mean: _Vector) -> cmaes.CMA:
        dimensions = len(self._space)
        return cmaes.CMA(
            mean=mean,
            sigma=self._sigma,
            bounds=np.tile([0.0, 1.0], (dimensions, 1)),
            seed=derive_seed(self._seed, "cma-es"),
            n_max_resampling=10 * dimensions,
            population_size=self._population_size,
        )

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the weights that are not constant."""
        return dict(self._space)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw the weights of `trial` from the distribution learned from the finished trials."""
        self._catch_up(study)
        self._optimizer.reseed_rng(derive_seed(self._seed, trial.number))
        point = self._low + self._optimizer.ask() * self._width
        return dict(zip(self._space, point.tolist(), strict=True))

    def _catch_up(self, study: Study) -> None:
        """Tell the optimiser the generations completed since the last draw."""
        drawn = [
            trial
            for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
            if not trial.user_attrs.get(ENQUEUED)
        ]
        sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
        size = self._optimizer.population_size
        while len(drawn) >= (self._optimizer.generation + 1) * size:
            first = self._optimizer.generation * size
            self._optimizer.tell(
                [(self._coordinates(t), sign * float(t.values[0])) for t in drawn[first : first + size]]
            )

    def _coordinates(self, trial: FrozenTrial) -> _Vector:
        weights = np.array([trial.params[name] for name in self._space])
        return np.asarray((weights - self._low) / self._width, dtype=np.float64)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> float:
        """Return the value of a constant weight."""
        value = self._constants.sample_independent(study, trial, param_name, param_distribution)
        return float(value)


def _make(space: Mapping[str, FloatDistribution], seed: int, settings: CmaEsSettings) -> CmaEsSampler:
    return CmaEsSampler(
        space, seed, population_size=settings.popsize, sigma=settings.sigma, start=settings.start
    )


SAMPLER = Sampler(make=_make, settings=CmaEsSettings, objectives="one", replays=True, fewest_weights=2)
