"""Optuna's Gaussian process sampler."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from tvmerge.study.samplers import Sampler, key

if TYPE_CHECKING:
    from optuna.distributions import FloatDistribution
    from optuna.samplers import GPSampler


@dataclass(frozen=True, slots=True, kw_only=True)
class GpSettings:
    """Settings of the Gaussian process.

    Attributes:
        n_startup_trials: Number of trials drawn uniformly before scores are used, including enqueued ones.
        deterministic_objective: Whether scores have no noise, as with greedy answers rated by rules.
    """

    n_startup_trials: int = key(int, 10, 1)
    deterministic_objective: bool = key(bool, False)


def _make(space: Mapping[str, FloatDistribution], seed: int, settings: GpSettings) -> GPSampler:
    from optuna.samplers import GPSampler

    # Optuna warns at each use that this argument is experimental; its version is constrained.
    warnings.filterwarnings("ignore", message="Argument ``deterministic_objective``")
    return GPSampler(seed=seed, warn_independent_sampling=False, **asdict(settings))


SAMPLER = Sampler(make=_make, settings=GpSettings)
