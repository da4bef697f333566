"""Makes samplers by name, whose draws depend on the seed and the trial's number, not on state in memory."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from tvmerge.errors import ConfigError
from tvmerge.study.samplers import SAMPLERS, Allowed
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
    allowed = _keys(name)
    for key in table or {}:
        if key not in allowed:
            raise ConfigError(f"[sampler] has no key '{key}' for {name}; {_hint(key, list(allowed))}")
    checked = {key: allowed[key].check(f"[sampler] {key}", value) for key, value in (table or {}).items()}
    return settings(**checked)


def _keys(name: str) -> dict[str, Allowed]:
    return {f.name: f.metadata["allowed"] for f in fields(SAMPLERS.load(name).settings)}


def _hint(key: str, allowed: Sequence[str]) -> str:
    """Return which key may be meant, or which sampler."""
    known = f"known: {', '.join(allowed)}" if allowed else "it has none"
    others = [name for name in SAMPLERS.names() if not SAMPLERS.origin(name) and key in _keys(name)]
    if others:
        return f"{known}; '{key}' is for --optuna-sampler {' or '.join(others)}"
    near = difflib.get_close_matches(key, allowed, n=1)
    return f"did you mean '{near[0]}'? {known}" if near else known


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


def choose_sampler(name: str, objectives: int, *, by_question: bool) -> tuple[str, str]:
    """Return the sampler that searches, and a line on why it is not `name`, empty if it is.

    Args:
        name: The sampler in the settings.
        objectives: Number of objectives.
        by_question: Whether each question has a score.
    """
    otherwise = SAMPLERS.load(name).otherwise
    if not otherwise or (objectives == 1 and by_question):
        return name, ""
    why = "of several objectives" if objectives > 1 else "a metric here has no score for a single question"
    return otherwise, f"--optuna-sampler {name} is {otherwise} in this study, because {why}"


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
