"""Makes samplers by name, whose draws depend on the seed and the trial's number, not on state in memory."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from tvmerge.errors import ConfigError
from tvmerge.study.samplers import SAMPLERS
from tvmerge.study.seeds import derive_seed

if TYPE_CHECKING:
    from optuna.distributions import FloatDistribution
    from optuna.samplers import BaseSampler

SamplerFactory = Callable[[int], "BaseSampler"]
"""Returns the sampler that draws a trial, given the trial's number."""


def read_settings(name: str, table: Mapping[str, object] | None = None) -> Any:
    """Return the settings of the sampler called `name`, from the table `[sampler]` and the defaults.

    Raises:
        ConfigError: There is no such sampler or key, or a value is not allowed.
    """
    settings = SAMPLERS.load(name).settings
    allowed = {f.name: f.metadata["allowed"] for f in fields(settings)}
    for key in table or {}:
        if key not in allowed:
            near = difflib.get_close_matches(key, allowed, n=1)
            hint = f"did you mean '{near[0]}'? " if near else ""
            known = f"known: {', '.join(allowed)}" if allowed else "it has none"
            raise ConfigError(f"[sampler] has no key '{key}' for {name}; {hint}{known}")
    checked = {key: allowed[key].check(f"[sampler] {key}", value) for key, value in (table or {}).items()}
    return settings(**checked)


def make_sampler(
    name: str,
    space: Mapping[str, FloatDistribution],
    seed: int,
    settings: Any = None,
    *,
    objectives: int = 1,
) -> SamplerFactory:
    """Make the sampler called `name`.

    A sampler re-created from the seed alone would repeat its first draws when a run is resumed. One
    re-created for each trial from (seed, number) draws the same whether or not the run was interrupted.

    Args:
        name: One of `SAMPLERS`.
        space: The search space.
        seed: Root seed.
        settings: Settings from `read_settings`; None for the defaults.
        objectives: Number of objectives.

    Raises:
        ConfigError: The name is unknown, or the sampler cannot search this space or this many objectives.
    """
    settings = settings if settings is not None else read_settings(name)
    check_objectives(name, objectives)
    sampler = SAMPLERS.load(name)
    if sum(not d.single() for d in space.values()) < sampler.fewest_weights:
        raise ConfigError(
            f"{name} needs at least {sampler.fewest_weights} weights to search; use --optuna-sampler TPE"
        )
    make = sampler.make
    if make is None:
        raise ConfigError(f"{name} also chooses the questions of a candidate, and draws no weights alone")
    if sampler.replays:
        once = make(space, seed, settings)
        return lambda _: once
    return lambda number: make(space, derive_seed(seed, number), settings)


def check_objectives(name: str, objectives: int) -> None:
    """Check that a sampler can maximise this many objectives.

    Raises:
        ConfigError: It cannot.
    """
    can = SAMPLERS.load(name).objectives
    if can == "several" and objectives == 1:
        raise ConfigError(f"{name} maximises several objectives; use TPE, CMA-ES or GP for one")
    if can == "one" and objectives > 1:
        raise ConfigError(f"{name} maximises one objective; use TPE, GP or NSGA-II for several")
