"""Multivariate tree-structured Parzen estimator, as Optuna has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from tvmerge.study.samplers import Sampler, key

if TYPE_CHECKING:
    from optuna.distributions import FloatDistribution
    from optuna.samplers import TPESampler


@dataclass(frozen=True, slots=True, kw_only=True)
class TpeSettings:
    """Settings of TPE.

    Attributes:
        n_startup_trials: Trials drawn evenly before scores are used; those with given weights count.
        n_ei_candidates: Points compared for one draw.
    """

    n_startup_trials: int = key(int, 10, 1)
    n_ei_candidates: int = key(int, 24, 1)


def _make(space: Mapping[str, FloatDistribution], seed: int, settings: TpeSettings) -> TPESampler:
    from optuna.samplers import TPESampler

    return TPESampler(seed=seed, multivariate=True, **asdict(settings))


SAMPLER = Sampler(make=_make, settings=TpeSettings)
