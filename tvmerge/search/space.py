"""The search space: one weight, within one range, for every group of tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tvmerge.errors import ConfigError
from tvmerge.records import Recipe


@dataclass(frozen=True, slots=True)
class Space:
    """Which weights are searched, and between which bounds.

    Attributes:
        names: Group names in model order; the names of the parameters in the study.
        low: Smallest weight.
        high: Largest weight.
    """

    names: tuple[str, ...]
    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.names:
            raise ConfigError("there is nothing to search: no tensor has a weight")
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise ConfigError(f"weight_min and weight_max must be finite, got {self.low:g} and {self.high:g}")
        if self.low > self.high:
            raise ConfigError(f"weight_min {self.low:g} is larger than weight_max {self.high:g}; swap them")

    def uniform(self, weight: float) -> Recipe:
        """The recipe that gives every group the same `weight`."""
        return Recipe(dict.fromkeys(self.names, float(weight)))

    def holds(self, weight: float) -> bool:
        """Whether `weight` lies within the bounds."""
        return self.low <= weight <= self.high

    def recipe(self, params: Mapping[str, float]) -> Recipe:
        """The recipe of a trial's parameters, in model order."""
        return Recipe({name: float(params[name]) for name in self.names})


def uniform_weight(recipe: Recipe) -> float | None:
    """The one weight of a recipe whose weights are all equal, else None."""
    values = set(recipe.weights.values())
    return values.pop() if len(values) == 1 else None
