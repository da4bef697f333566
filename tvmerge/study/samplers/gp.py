"""Gaussian process with expected improvement, as Optuna has it."""

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
        n_startup_trials: Trials drawn evenly before scores are used; those with given weights count.
        deterministic_objective: The scores hold no noise: greedy answers, rated by fixed rules.
    """

    n_startup_trials: int = key(int, 10, 1)
    deterministic_objective: bool = key(bool, False)


def _make(space: Mapping[str, FloatDistribution], seed: int, settings: GpSettings) -> GPSampler:
    from optuna.samplers import GPSampler

    # Optuna warns at each use that this argument may change one day; its versions are ours to watch.
    warnings.filterwarnings("ignore", message="Argument ``deterministic_objective``")
    return GPSampler(seed=seed, warn_independent_sampling=False, **asdict(settings))


SAMPLER = Sampler(make=_make, settings=GpSettings)
