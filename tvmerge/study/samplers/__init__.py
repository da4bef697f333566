"""Samplers: how the next weights are chosen. Each module here is one, and is found by its name.

A new sampler is a module that defines `SAMPLER`, a `Sampler`: a file in this folder, or one of an installed
package, which names it as an entry point:

    [project.entry-points."tvmerge.samplers"]
    sobol = "my_package.sobol"

Then `--optuna-sampler sobol` takes it. What is set of it stands in the table `[sampler]` of the config file:
the fields of its `settings`, each declared with `key`.

The study's fingerprint has its name, its settings and, of an installed package, the version.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tvmerge._util.plugins import Plugins
from tvmerge.errors import ConfigError

if TYPE_CHECKING:
    from optuna.distributions import FloatDistribution
    from optuna.samplers import BaseSampler


@dataclass(frozen=True, slots=True)
class Allowed:
    """The values a key of `[sampler]` may have.

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


def key(kind: type[int] | type[float], default: Any, low: float = -math.inf, high: float = math.inf) -> Any:
    """A dataclass field that is a key of the table `[sampler]`."""
    return field(default=default, metadata={"allowed": Allowed(kind, low, high)})


@dataclass(frozen=True, slots=True, kw_only=True)
class NoSettings:
    """The settings of a sampler that has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """What a module of a sampler defines.

    Attributes:
        make: From the weights and their bounds, a seed and the settings to an Optuna sampler.
        settings: Dataclass of the settings, its fields made by `key`.
        objectives: How many scores it can maximise.
        replays: It is made once for the whole search, from the study's seed, and draws as a function of the
            trials told. Any other is made again for each trial, from a seed of that trial's own: what it
            keeps in memory, a resumed run would not have.
        fewest_weights: How many weights that are not constant it needs.
    """

    make: Callable[[Mapping[str, FloatDistribution], int, Any], BaseSampler]
    settings: type[Any] = NoSettings
    objectives: Literal["one", "several", "any"] = "any"
    replays: bool = False
    fewest_weights: int = 1


SAMPLERS = Plugins(
    what="sampler",
    kind=Sampler,
    attribute="SAMPLER",
    package=__name__,
    group="tvmerge.samplers",
    spelled={"tpe": "TPE", "cma_es": "CMA-ES", "gp": "GP", "nsga2": "NSGA-II"},
)
