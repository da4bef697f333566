"""Weights as the numbers that a search by blocks computes with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvmerge.records import Recipe

if TYPE_CHECKING:
    from tvmerge.study.blocks.metric import Floats
    from tvmerge.study.space import Space


DECIMALS = 6
"""To which scaled weights are rounded, so that those read from a study's table are those that were chosen."""


class Scale:
    """Weights of a `Space` as numbers in [0, 2], those left out that have only one value.

    Args:
        space: The weights searched.
    """

    def __init__(self, space: Space) -> None:
        bounds = {name: space.bounds(name) for name in space.names}
        self._space = space
        self._fixed = {name: low for name, (low, high) in bounds.items() if low == high}
        self._bounds = {name: between for name, between in bounds.items() if name not in self._fixed}

    @property
    def names(self) -> tuple[str, ...]:
        """The weights that vary."""
        return tuple(self._bounds)

    def row(self, recipe: Recipe) -> Floats:
        """A recipe's weights, rounded to `DECIMALS`, shape (d,)."""
        import numpy as np

        scaled = [
            2 * (recipe.weights[name] - low) / (high - low) for name, (low, high) in self._bounds.items()
        ]
        return np.round(np.array(scaled, dtype=float), DECIMALS) + 0.0  # no -0.0, which has other bytes

    def recipe(self, row: Floats) -> Recipe:
        """The recipe of scaled weights, each within its bounds."""
        weights = dict(self._fixed)
        for (name, (low, high)), scaled in zip(self._bounds.items(), row, strict=True):
            weights[name] = min(max(low + float(scaled) * (high - low) / 2, low), high)
        return self._space.recipe(weights)
