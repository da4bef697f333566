"""Optuna's multivariate tree-structured Parzen estimator."""

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
        n_startup_trials: Number of trials drawn uniformly before scores are used, including enqueued ones.
        n_ei_candidates: Number of candidates compared per draw.
    """

    n_startup_trials: int = key(int, 10, 1)
    n_ei_candidates: int = key(int, 24, 1)


def _make(space: Mapping[str, FloatDistribution], seed: int, settings: TpeSettings) -> TPESampler:
    from optuna.samplers import TPESampler

    return TPESampler(seed=seed, multivariate=True, **asdict(settings))


SAMPLER = Sampler(make=_make, settings=TpeSettings)
