"""The keys of the table `[sampler]`, for each sampler, declared once."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from tvmerge.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Allowed:
    """The values a key may have.

    Attributes:
        kind: Type of the value; a whole number stands for a float too.
        low: The smallest value.
        high: The largest value.
    """

    kind: type[int] | type[float]
    low: float = -math.inf
    high: float = math.inf

    def check(self, where: str, value: Any) -> Any:
        """The value, if it is allowed.

        Raises:
            ConfigError: It is not.
        """
        kind = type(value)
        number = float(value) if isinstance(value, int | float) else math.nan
        if kind is not self.kind and not (self.kind is float and kind is int):
            raise ConfigError(f"{where} must be {self.kind.__name__}, got {kind.__name__} {value!r}")
        if not (math.isfinite(number) and self.low <= number <= self.high):
            raise ConfigError(f"{where} must be {self._bounds()}, got {number:g}")
        return self.kind(value)

    def _bounds(self) -> str:
        if math.isfinite(self.high):
            return f"between {self.low:g} and {self.high:g}"
        return f"at least {self.low:g}" if math.isfinite(self.low) else "finite"


def _key(kind: type[int] | type[float], default: Any, low: float = -math.inf, high: float = math.inf) -> Any:
    return field(default=default, metadata={"allowed": Allowed(kind, low, high)})


@dataclass(frozen=True, slots=True, kw_only=True)
class TpeSettings:
    """Multivariate tree-structured Parzen estimator.

    Attributes:
        n_startup_trials: Trials drawn evenly before scores are used; those with given weights count.
        n_ei_candidates: Points compared for one draw.
    """

    n_startup_trials: int = _key(int, 10, 1)
    n_ei_candidates: int = _key(int, 24, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CmaEsSettings:
    """Covariance matrix adaptation evolution strategy.

    Attributes:
        popsize: Trials in a generation; None takes 4 + floor(3 ln d) for d weights.
        sigma: Standard deviation of the first generation, as a share of the range.
        start: The weight that the first generation is drawn around; None is the middle of the range.
    """

    popsize: int | None = _key(int, None, 4)
    sigma: float = _key(float, 1 / 6, 1e-6, 1)
    start: float | None = _key(float, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class GpSettings:
    """Gaussian process with expected improvement.

    Attributes:
        n_startup_trials: Trials drawn evenly before scores are used; those with given weights count.
        deterministic_objective: The scores hold no noise: greedy answers, rated by fixed rules.
    """

    n_startup_trials: int = _key(int, 10, 1)
    deterministic_objective: bool = _key(bool, False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomSettings:
    """Evenly from the range, whatever the scores; what a search is to be compared with. It has no keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NsgaSettings:
    """Non-dominated sorting genetic algorithm II, for several objectives.

    Attributes:
        population_size: Trials in a generation. Optuna's 50 is more than many a search here has in all.
        mutation_prob: Chance that a weight of a child is drawn anew; None: one weight of a child on average.
        crossover_prob: Chance that a child has two parents.
        swapping_prob: Chance that a weight comes from the second parent.
    """

    population_size: int = _key(int, 20, 2)
    mutation_prob: float | None = _key(float, None, 0, 1)
    crossover_prob: float = _key(float, 0.9, 0, 1)
    swapping_prob: float = _key(float, 0.5, 0, 1)


SamplerSettings = TpeSettings | CmaEsSettings | GpSettings | RandomSettings | NsgaSettings

SETTINGS: Mapping[str, type[SamplerSettings]] = {
    "TPE": TpeSettings,
    "CMA-ES": CmaEsSettings,
    "GP": GpSettings,
    "random": RandomSettings,
    "NSGA-II": NsgaSettings,
}
"""The samplers and what can be set of each."""


def read_settings(name: str, table: Mapping[str, object] | None = None) -> SamplerSettings:
    """The settings of the sampler called `name`, from the keys given in `[sampler]` and the defaults.

    Raises:
        ConfigError: There is no such sampler or key, or a value is not allowed; one line.
    """
    if name not in SETTINGS:
        raise ConfigError(f"unknown sampler '{name}'; known: {', '.join(SETTINGS)}")
    allowed = {f.name: f.metadata["allowed"] for f in fields(SETTINGS[name])}
    for key in table or {}:
        if key not in allowed:
            near = difflib.get_close_matches(key, allowed, n=1)
            hint = f"did you mean '{near[0]}'? " if near else ""
            known = f"known: {', '.join(allowed)}" if allowed else "it has none"
            raise ConfigError(f"[sampler] has no key '{key}' for {name}; {hint}{known}")
    checked = {key: allowed[key].check(f"[sampler] {key}", value) for key, value in (table or {}).items()}
    return SETTINGS[name](**checked)
