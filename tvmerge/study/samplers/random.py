"""Uniform random sampling, the baseline for other samplers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tvmerge.study.samplers import NoSettings, Sampler

if TYPE_CHECKING:
    from optuna.distributions import FloatDistribution
    from optuna.samplers import RandomSampler


def _make(space: Mapping[str, FloatDistribution], seed: int, settings: NoSettings) -> RandomSampler:
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=seed)


SAMPLER = Sampler(make=_make)
