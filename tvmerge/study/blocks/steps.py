"""New candidates around the best ones: steps in all weights, in few, in whole layers or kinds, and crossings.

A Thompson draw is then maximised over these points; far from what is known, a draw in hundreds of dimensions
would be noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvmerge.study.blocks.scale import DECIMALS

if TYPE_CHECKING:
    from numpy.random import RandomState

    from tvmerge.study.blocks.metric import Floats, Ints

STEP, CROSS = 0.75, 0.18
"""Shares of the points that are steps from one candidate and crossings of two; the rest are far steps."""

FAR = 2.5
"""How much longer a far step is."""

FINE_AFTER = 1200
"""Asks after which steps along all groupings are equally likely; before, coarse ones are likelier."""

_ALL = 0.4  # share of the steps that move every group


@dataclass(frozen=True)
class Steps:
    """Draws points.

    Attributes:
        groupings: Partitions of the weights, the coarsest first; a step moves whole groups.
        radius: Standard deviation of a step at the beginning, in weights scaled to [0, 2].
    """

    groupings: Sequence[Ints]
    radius: float

    def draw(self, rng: RandomState, best: Floats, asks: int, count: int) -> Floats:
        """New points.

        Args:
            rng: Draws them.
            best: The best candidates, the best first, shape (k, d).
            asks: How many asks there were; steps become shorter and finer with them.
            count: How many points.

        Returns:
            Shape (`count`, d), in [0, 2].
        """
        import numpy as np

        radius = self.radius * (0.5 + 0.5 * math.exp(-max(0, asks - 20) / 96))
        likely = self._likely(asks)
        return np.array([self._point(rng, best, radius, likely) for _ in range(count)])

    def around(self, rng: RandomState, centre: Floats, spread: float) -> Floats:
        """A point that differs from `centre` in every group of the coarsest partition."""
        groups = self.groupings[0]
        moved = spread * rng.standard_normal(int(groups.max()) + 1)
        return _within(centre + moved[groups])

    def _likely(self, asks: int) -> Floats:
        """How likely a step goes along each grouping."""
        import numpy as np

        k = len(self.groupings)
        if k == 1:
            return np.ones(1)
        others = min(1.0, asks / FINE_AFTER) * (k - 1) / k
        return np.array([1 - others] + [others / (k - 1)] * (k - 1))

    def _point(self, rng: RandomState, best: Floats, radius: float, likely: Floats) -> Floats:
        origin = best[min(int(rng.exponential(1.2)), len(best) - 1)]
        what = rng.random_sample()
        if what < STEP:
            point = origin + self._step(rng, radius * math.exp(0.6 * rng.standard_normal()), likely)
        elif what < STEP + CROSS and len(best) > 1:
            point = self._crossed(rng, origin, best[rng.randint(len(best))])
        else:
            point = origin + FAR * radius * rng.standard_normal(len(origin))
        return _within(point)

    def _step(self, rng: RandomState, radius: float, likely: Floats) -> Floats:
        groups = self.groupings[rng.choice(len(self.groupings), p=likely)]
        k = int(groups.max()) + 1
        moved = radius * rng.standard_normal(k)
        if rng.random_sample() >= _ALL:
            few = max(2, min(k, 1 + rng.poisson(3)))
            moved = moved * (rng.random_sample(k) < few / k)
        return moved[groups]

    def _crossed(self, rng: RandomState, one: Floats, other: Floats) -> Floats:
        import numpy as np

        if rng.random_sample() < 0.5:
            return np.where(rng.random_sample(len(one)) < 0.5, one, other)
        return one + rng.uniform(-0.3, 1.3) * (other - one)


def _within(point: Floats) -> Floats:
    import numpy as np

    return np.asarray(np.round(np.clip(point, 0.0, 2.0), DECIMALS) + 0.0)
