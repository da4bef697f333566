"""Samplers by name, made so that a draw depends on the seed and the trial's number, not on what RAM holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from tvmerge.errors import ConfigError
from tvmerge.search.seeds import derive_seed

if TYPE_CHECKING:
    from optuna.distributions import FloatDistribution
    from optuna.samplers import BaseSampler

SamplerFactory = Callable[[int], "BaseSampler"]
"""From a trial's number to the sampler that draws it."""


def make_sampler(name: str, space: Mapping[str, FloatDistribution], seed: int) -> SamplerFactory:
    """The sampler called `name`.

    A sampler re-created with the plain seed on resume would replay its first draws; one re-created for
    each trial from (seed, number) draws the same whether the run was interrupted or not.

    Raises:
        ConfigError: The name is unknown, or CMA-ES is asked to search fewer than two weights.
    """
    if name == "TPE":
        return lambda number: _tpe(derive_seed(seed, number))
    if name == "CMA-ES":
        if sum(not d.single() for d in space.values()) < 2:
            raise ConfigError("CMA-ES needs at least two weights to search; use --optuna-sampler TPE")
        from tvmerge.search.cmaes_sampler import CmaEsSampler

        sampler = CmaEsSampler(space, seed)
        return lambda _: sampler
    raise ConfigError(f"unknown sampler '{name}'; known: TPE, CMA-ES")


def _tpe(seed: int) -> BaseSampler:
    from optuna.samplers import TPESampler

    return TPESampler(seed=seed, multivariate=True)
