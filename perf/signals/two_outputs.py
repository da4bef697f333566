"""A search by blocks whose model has a second output that needs no judge.

With l the likelihood of well-rated answers and f what a candidate is worth, f = rho l + g (Kennedy and
O'Hagan, Predicting the output from a complex computer code when fast approximations are available, 2000).
Since l is known of every rated candidate, both processes are fitted by themselves: l to its values, g to
ratings less rho l. rho is the most probable of `RHOS`, with half of the prior on 0, so a likelihood that does
not rank is ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from tvmerge.study.blocks.anchor import Anchored, Difference
from tvmerge.study.blocks.knowledge import Knowledge
from tvmerge.study.blocks.model import Model, Ratings
from tvmerge.study.blocks.sampler import REFITS, BlockSampler
from tvmerge.study.blocks.search import BlockSearch
from tvmerge.study.blocks.table import Table

if TYPE_CHECKING:
    from tvmerge.study.blocks.metric import Floats

RHOS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
"""Points of the score in a standard deviation of the likelihood."""

_SPREAD = 1.5  # prior standard deviation of rho
_PRIOR_SD = 0.7  # of the logarithms of hyperparameters, as in `Model`


class _Joint(Knowledge):
    """What is known from ratings and likelihoods."""

    def __init__(self, model: Model, point: float, table: Table, theta: Floats, joint: Anchored) -> None:
        super().__init__(model, point, table, theta)
        self._joint = joint

    @cached_property
    def ratings(self) -> Anchored:
        """What ratings and likelihoods say."""
        return self._joint

    @cached_property
    def expected(self) -> Anchored:
        """The same, as no ask is in flight here."""
        return self._joint


class TwoOutputs(BlockSampler):
    """Asks by ratings and likelihoods.

    Args:
        search: What is searched.
        block: How many questions a candidate answers at a time.
        begin: Number of told asks from which likelihoods are used.

    Attributes:
        likelihoods: By number of the trial, the likelihood; to be set before an ask.
        rhos: By number of asks at a fit, the factor of the likelihood.
    """

    def __init__(self, search: BlockSearch, block: int, begin: int) -> None:
        super().__init__(search, block)
        self._begin = begin
        self._second = Model(self._metric, (1.0, 0.05, 0.05))
        self._fits: dict[int, tuple[float, Floats, Floats]] = {}
        self.likelihoods: Sequence[float] = ()
        self.rhos: dict[int, float] = {}

    def _known(self, table: Table) -> Knowledge:
        if len(table.known) < self._begin:
            return super()._known(table)
        if not isinstance(self._last, _Joint) or not self._last.of(table):
            size = max(n for n in (self._begin, *REFITS) if n <= len(table.known))
            if size not in self._fits:
                self._fits[size] = self._fit(table, size)
                self.rhos[size] = self._fits[size][0]
            rho, first, second = self._fits[size]
            likelihood, rest = self._divided(table, None, size, rho)
            known = Difference(rho, self._model.condition(rest, second))
            joint = Anchored(self._second.condition(likelihood, first), known)
            self._last = _Joint(self._model, self._point, table, second, joint)
        return self._last

    def _fit(self, table: Table, size: int) -> tuple[float, Floats, Floats]:
        """Return rho, and the hyperparameters of the likelihood and of the rest."""
        likelihood, _ = self._divided(table, size, size, 0.0)
        first = self._second.fit(likelihood, self._second.prior, 25)
        fits = []
        for rho in RHOS:
            _, rest = self._divided(table, size, size, rho)
            theta = self._model.fit(rest, super()._theta(table), 25)
            z = (theta - self._model.prior) / _PRIOR_SD
            prior = 0.5 * (rho / _SPREAD) ** 2 + np.log(len(RHOS) - 1) if rho else 0.0
            fits.append((self._model.log_likelihood(rest, theta)[0] - 0.5 * float(z @ z) - prior, rho, theta))
        _, rho, theta = max(fits, key=lambda fit: fit[0])
        return rho, first, theta

    def _divided(self, table: Table, first: int | None, size: int, rho: float) -> tuple[Ratings, Ratings]:
        """Return the likelihoods of the first asks' candidates, and their ratings less what these explain.

        Likelihoods are taken in nats on a logarithmic scale and then in standard deviations of those of the
        first `size` asks.
        """
        data, trials, _ = table.ratings(self._point, first)
        reference = sorted({ask.trial for ask in table.known[:size]})
        logs = -np.log(np.maximum(-np.array(self.likelihoods), 1e-6))
        centre, spread = logs[reference].mean(), logs[reference].std() or 1.0
        z = ((logs - centre) / spread)[trials]
        likelihood = Ratings(data.weights, z[:, None], np.ones((len(z), 1)))
        return likelihood, replace(data, ratings=data.ratings - rho * z[:, None])
