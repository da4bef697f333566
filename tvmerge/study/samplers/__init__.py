"""Samplers. Each module in this folder is one, found by its file name.

A new sampler is a module that defines `SAMPLER`, a `Sampler`: a file in this folder, or a module of an
installed package that is declared as an entry point:

    [project.entry-points."tvmerge.samplers"]
    sobol = "my_package.sobol"

Then `--optuna-sampler sobol` selects it. Its settings are in the table `[sampler]` of the config file: the
fields of `settings`, each declared with `key`.

The study's fingerprint contains its name, its settings and the version of an installed package.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tvmerge._util.as_float import as_float
from tvmerge._util.plugins import Plugins
from tvmerge._util.shown import shown
from tvmerge.errors import ConfigError

if TYPE_CHECKING:
    from optuna.distributions import FloatDistribution
    from optuna.samplers import BaseSampler

    from tvmerge.study.blocks.sampler import BlockSampler
    from tvmerge.study.blocks.search import BlockSearch


@dataclass(frozen=True, slots=True)
class Allowed:
    """The values that a key of `[sampler]` may have.

    Attributes:
        kind: Type of the value; an int is accepted for a float.
        low: The smallest value.
        high: The largest value.
    """

    kind: type[int] | type[float]
    low: float = -math.inf
    high: float = math.inf

    def check(self, where: str, value: Any) -> Any:
        """Return the value if it is allowed.

        Raises:
            ConfigError: It is not allowed.
        """
        kind = type(value)
        number = as_float(value) if isinstance(value, int | float) else math.nan
        if kind is not self.kind and not (self.kind is float and kind is int):
            raise ConfigError(f"{where} must be {self.kind.__name__}, got {kind.__name__} {shown(value)}")
        if not (math.isfinite(number) and self.low <= number <= self.high):
            raise ConfigError(f"{where} must be {self._bounds()}, got {number:g}")
        return self.kind(value)

    def _bounds(self) -> str:
        if math.isfinite(self.high):
            return f"between {self.low:g} and {self.high:g}"
        return f"at least {self.low:g}" if math.isfinite(self.low) else "finite"


def key(kind: type[int] | type[float], default: Any, low: float = -math.inf, high: float = math.inf) -> Any:
    """Return a dataclass field that is a key of the table `[sampler]`."""
    return field(default=default, metadata={"allowed": Allowed(kind, low, high)})


@dataclass(frozen=True, slots=True, kw_only=True)
class NoSettings:
    """The settings of a sampler without settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """A sampler, as its module defines it.

    Attributes:
        make: Makes an Optuna sampler, given the search space, a seed and the settings; None for a sampler
            that also chooses questions.
        make_blocks: Makes a sampler that also chooses which questions a candidate answers, given the search
            and the settings; None for any other.
        settings: Dataclass of the settings, with fields made by `key`.
        objectives: The numbers of objectives it can maximise.
        replays: Whether it is made once for the whole search, from the study's seed, and draws as a function
            of the finished trials. Other samplers are made anew for each trial from the trial's seed, since a
            resumed run would not have their state in memory.
        fewest_weights: Minimum number of weights that are not constant.
        otherwise: The sampler that takes its place if questions cannot be chosen, because there are several
            objectives or a question alone has no score; empty if none does.
    """

    make: Callable[[Mapping[str, FloatDistribution], int, Any], BaseSampler] | None = None
    make_blocks: Callable[[BlockSearch, Any], BlockSampler] | None = None
    settings: type[Any] = NoSettings
    objectives: Literal["one", "several", "any"] = "any"
    replays: bool = False
    fewest_weights: int = 1
    otherwise: str = ""


SAMPLERS = Plugins(
    what="sampler",
    kind=Sampler,
    attribute="SAMPLER",
    package=__name__,
    group="tvmerge.samplers",
    spelled={"tpe": "TPE", "cma_es": "CMA-ES", "gp": "GP", "nsga2": "NSGA-II"},
)
