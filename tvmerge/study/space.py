"""The search space: one weight, within one range, for every group of tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from tvmerge.errors import ConfigError
from tvmerge.records import Recipe


@dataclass(frozen=True, slots=True)
class Space:
    """The weights to search and their bounds.

    Attributes:
        names: Group names in model order; the names of the parameters in the study.
        low: Smallest weight of names that are not in `ranges`.
        high: Largest weight of names that are not in `ranges`.
        ranges: Bounds of single weights, by name.
        parts: By name, the part of a layer that a weight is of; weights of one part may matter alike.
    """

    names: tuple[str, ...]
    low: float
    high: float
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.names:
            raise ConfigError("there is nothing to search: no tensor has a weight")
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise ConfigError(f"weight_min and weight_max must be finite, got {self.low:g} and {self.high:g}")
        if self.low > self.high:
            raise ConfigError(f"weight_min {self.low:g} is larger than weight_max {self.high:g}; swap them")

    def bounds(self, name: str) -> tuple[float, float]:
        """Return the bounds of the weight called `name`."""
        return self.ranges.get(name, (self.low, self.high))

    def uniform(self, weight: float) -> Recipe:
        """Return the recipe with the same `weight` for every group and the largest densities."""
        return Recipe({name: self.bounds(name)[1] if is_density(name) else weight for name in self.names})

    def holds(self, weight: float) -> bool:
        """Return whether `weight` is within the bounds of every group."""
        bounds = [self.bounds(name) for name in self.names if not is_density(name)]
        return all(low <= weight <= high for low, high in bounds)

    def recipe(self, params: Mapping[str, float]) -> Recipe:
        """Return the recipe of a trial's parameters, in model order."""
        return Recipe({name: float(params[name]) for name in self.names})


def is_density(name: str) -> bool:
    """Return whether a parameter is a density of a task vector, not a weight."""
    return name.rpartition("/")[2] == "density"


def uniform_weight(recipe: Recipe) -> float | None:
    """Return the weight of a recipe whose weights are all equal, else None."""
    values = (value for name, value in recipe.weights.items() if not is_density(name))
    first = next(values, None)
    return first if all(value == first for value in values) else None
