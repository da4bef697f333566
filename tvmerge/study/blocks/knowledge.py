"""What the model makes of a table: the posterior of its ratings, and the candidates, the best first."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from tvmerge.study.blocks.anchor import Anchored, Difference
from tvmerge.study.blocks.model import Model, Posterior
from tvmerge.study.blocks.table import Table

if TYPE_CHECKING:
    from tvmerge.study.blocks.metric import Floats

CAUTION = 0.5
"""How many standard deviations below its mean a candidate is ranked."""

Ranked = tuple[int, float, float]
"""A candidate's trial, and the mean and standard deviation of its score."""


class Knowledge:
    """What is known from a table; each part is computed once, when it is first used.

    Args:
        model: The model.
        point: What a ninth of the scale is in scores.
        table: The table.
        theta: The hyperparameters.
        difference: With an anchor, how its scores differ.
    """

    def __init__(
        self, model: Model, point: float, table: Table, theta: Floats, difference: Difference | None = None
    ) -> None:
        self._model = model
        self._point = point
        self._content = _content(table)
        self._data, self._trials, self._waiting = table.ratings(point)
        self._theta = theta
        self._difference = difference

    def of(self, table: Table) -> bool:
        """Whether it is what is known from `table`."""
        return self._content == _content(table)

    @cached_property
    def ratings(self) -> Posterior | Anchored:
        """What the ratings say; with an anchor, on its scale."""
        return self._on_scale(self._rated)

    @cached_property
    def expected(self) -> Posterior | Anchored:
        """What the ratings say, where those in flight are what is expected of them."""
        return self._on_scale(self._model.expect(self._rated, self._data, self._waiting))

    @cached_property
    def ranking(self) -> tuple[Ranked, ...]:
        """Candidates with ratings, the best first.

        A candidate is as good as it is likely to be at least: its mean less `CAUTION` standard deviations.
        """
        import numpy as np

        rated = self._data.counts.sum(axis=1) > 0
        if not rated.any():
            return ()
        mean, sd = self.ratings.mean(self._data.weights), self.ratings.sd(self._data.weights)
        order = np.argsort(-np.round(mean - CAUTION * sd, 9), kind="stable")
        return tuple(
            (self._trials[row], float(mean[row] * self._point), float(sd[row] * self._point))
            for row in order
            if rated[row]
        )

    @cached_property
    def _rated(self) -> Posterior:
        return self._model.condition(self._data, self._theta)

    def _on_scale(self, rated: Posterior) -> Posterior | Anchored:
        return rated if self._difference is None else Anchored(rated, self._difference)


def _content(table: Table) -> tuple[object, ...]:
    return tuple(table.known), tuple(table.pending), table.weights.shape, table.weights.tobytes()
