"""Samplers by name, made so that a draw depends on the seed and the trial's number, not on what RAM holds."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from tvmerge.errors import ConfigError
from tvmerge.study.samplers.settings import (
    CmaEsSettings,
    GpSettings,
    NsgaSettings,
    RandomSettings,
    SamplerSettings,
    TpeSettings,
    read_settings,
)
from tvmerge.study.seeds import derive_seed

if TYPE_CHECKING:
    from optuna.distributions import FloatDistribution
    from optuna.samplers import BaseSampler

SamplerFactory = Callable[[int], "BaseSampler"]
"""From a trial's number to the sampler that draws it."""


def make_sampler(
    name: str,
    space: Mapping[str, FloatDistribution],
    seed: int,
    settings: SamplerSettings | None = None,
    *,
    objectives: int = 1,
) -> SamplerFactory:
    """The sampler called `name`.

    A sampler re-created with the plain seed on resume would replay its first draws; one re-created for
    each trial from (seed, number) draws the same whether the run was interrupted or not.

    Raises:
        ConfigError: The name is unknown, or the sampler cannot search that space or that many objectives.
    """
    settings = settings if settings is not None else read_settings(name)
    check_objectives(name, objectives)
    if isinstance(settings, CmaEsSettings):
        return _cma_es(space, seed, settings)
    return lambda number: _made(settings, derive_seed(seed, number))


def check_objectives(name: str, objectives: int) -> None:
    """Refuse a sampler that cannot maximise that many objectives.

    Raises:
        ConfigError: Says which sampler can.
    """
    if name == "NSGA-II" and objectives == 1:
        raise ConfigError("NSGA-II is for several objectives; use TPE, CMA-ES or GP for one")
    if name == "CMA-ES" and objectives > 1:
        raise ConfigError("CMA-ES maximises one objective; use TPE, GP or NSGA-II for several")


def _made(settings: TpeSettings | GpSettings | RandomSettings | NsgaSettings, seed: int) -> BaseSampler:
    """A sampler that is new for each trial."""
    from optuna.samplers import GPSampler, RandomSampler, TPESampler

    if isinstance(settings, TpeSettings):
        return TPESampler(seed=seed, multivariate=True, **asdict(settings))
    if isinstance(settings, NsgaSettings):
        from tvmerge.study.samplers.nsga2 import NsgaSampler

        return NsgaSampler(seed=seed, **asdict(settings))
    if isinstance(settings, RandomSettings):
        return RandomSampler(seed=seed)
    # Optuna warns at each use that this argument may change one day; its versions are ours to watch.
    warnings.filterwarnings("ignore", message="Argument ``deterministic_objective``")
    return GPSampler(seed=seed, warn_independent_sampling=False, **asdict(settings))


def _cma_es(space: Mapping[str, FloatDistribution], seed: int, settings: CmaEsSettings) -> SamplerFactory:
    """One sampler for all trials: it replays the table, and keeps how far it has come."""
    if sum(not d.single() for d in space.values()) < 2:
        raise ConfigError("CMA-ES needs at least two weights to search; use --optuna-sampler TPE")
    from tvmerge.study.samplers.cma_es import CmaEsSampler

    sampler = CmaEsSampler(
        space, seed, population_size=settings.popsize, sigma=settings.sigma, start=settings.start
    )
    return lambda _: sampler
