"""What candidates are worth on the scale of an anchor, a judge that rates a sample of the answers.

With x the rating of the judge that rates everything, and y that of the anchor, a candidate's score is

    y = slope x + d,    d = y - slope x on the sample

and its expected value the sum of two models of `model`: one of x, from all ratings, times the slope, and one
of the difference d, from the sample. This is the regression estimator of double sampling (Cochran, Sampling
Techniques, 3rd edition 1977, section 12.6) with both means smoothed over the weights: x is a control variate
and needs no scale in common with y. A judge that prefers something else than the anchor, such as long
answers, shifts x for some candidates only; d shows it, since it depends on the weights too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvmerge.study.blocks.model import DECIMALS, Model, Posterior, Ratings
from tvmerge.study.blocks.table import Ask, Table

if TYPE_CHECKING:
    from tvmerge.study.blocks.metric import Floats, Metric

SPREADS = (0.7, 0.7, 1.0)
"""Prior medians of sf, sb and se of the difference, in points: smaller than those of ratings."""

PRIOR_PAIRS = 10
"""How many pairs of an average spread the prior slope of 1 weighs as much as."""


@dataclass(frozen=True, slots=True)
class Pair:
    """An answer that both judges rated.

    Attributes:
        trial: Number of the candidate's trial.
        place: Place of the question in the order of the search.
        score: What it adds to the score by the judge that rates everything.
        anchor: What it adds to the score by the anchor.
    """

    trial: int
    place: int
    score: float
    anchor: float


def pairs_of(asks: Sequence[Ask]) -> list[Pair]:
    """The answers that both judges rated, in the order of the asks."""
    return [
        Pair(ask.trial, place, score, anchor)
        for ask in asks
        if ask.scores and ask.anchor
        for place, (score, anchor) in enumerate(zip(ask.scores, ask.anchor, strict=True), start=ask.start)
        if score is not None and anchor is not None
    ]


@dataclass(frozen=True)
class Difference:
    """How the anchor's scores differ from those of the judge that rates everything.

    Attributes:
        slope: The factor of the other judge's scores.
        known: What is known of the difference to them.
    """

    slope: float
    known: Posterior


@dataclass(frozen=True)
class Anchored:
    """What is known of candidates on the anchor's scale; has the methods of `Posterior`.

    Attributes:
        rated: What is known from the judge that rates everything.
        difference: What its scores lack to those of the anchor; independent of `rated`.
    """

    rated: Posterior
    difference: Difference

    def mean(self, weights: Floats) -> Floats:
        """Expected rating on a question nobody has asked: shape (n, d) to (n,)."""
        slope, known = self.difference.slope, self.difference.known
        found: Floats = slope * self.rated.mean(weights) + known.mean(weights)
        return found

    def sd(self, weights: Floats) -> Floats:
        """Standard deviation of the mean: shape (n, d) to (n,)."""
        import numpy as np

        slope, known = self.difference.slope, self.difference.known
        return np.asarray(np.hypot(slope * self.rated.sd(weights), known.sd(weights)))

    def covariance(self, weights: Floats) -> Floats:
        """Covariance of the means: shape (n, d) to (n, n)."""
        slope, known = self.difference.slope, self.difference.known
        found: Floats = slope**2 * self.rated.covariance(weights) + known.covariance(weights)
        return found


class Anchoring:
    """Finds how the anchor's scores differ from those of the judge that rates everything.

    Args:
        metric: How alike candidates are.
        point: What a ninth of the scale is in scores.
        sizes: Numbers of told asks at which slope and hyperparameters are fitted, from these asks alone.
    """

    def __init__(self, metric: Metric, point: float, sizes: Sequence[int]) -> None:
        self._model = Model(metric, SPREADS)
        self._point = point
        self._sizes = sizes
        self._fitted: dict[int, tuple[float, Floats]] = {}

    def difference(self, table: Table) -> Difference:
        """What a table says of the difference."""
        slope, theta = self._fit(table)
        return Difference(slope, self._model.condition(self._differences(table, table.known, slope), theta))

    def _fit(self, table: Table) -> tuple[float, Floats]:
        slope, theta = 1.0, self._model.prior
        for size in self._sizes:
            if size > len(table.known):
                break
            if size not in self._fitted:
                asks = table.known[:size]
                slope = slope_of(pairs_of(asks))
                data = self._differences(table, asks, slope)
                if data.counts.any():
                    theta = self._model.fit(data, theta, 25)
                self._fitted[size] = slope, theta
            slope, theta = self._fitted[size]
        return slope, theta

    def _differences(self, table: Table, asks: Sequence[Ask], slope: float) -> Ratings:
        """The differences of usable candidates that have any, in points."""
        import numpy as np

        failed = {ask.trial for ask in asks if ask.failed}
        pairs = [pair for pair in pairs_of(asks) if pair.trial not in failed]
        # Without a pair one candidate stands for all, with nothing known of it.
        trials = sorted({pair.trial for pair in pairs}) or [asks[0].trial]
        row = {trial: index for index, trial in enumerate(trials)}
        found = np.zeros((len(trials), table.questions))
        counts = np.zeros_like(found)
        for pair in pairs:
            found[row[pair.trial], pair.place] = (pair.anchor - slope * pair.score) / self._point
            counts[row[pair.trial], pair.place] = 1
        return Ratings(table.weights[trials], found, counts)


def slope_of(pairs: Sequence[Pair]) -> float:
    """The factor of the ratings as a control variate: the least-squares slope, drawn towards 1 by few pairs.

    Rounded to `DECIMALS`, and at least 0: a judge that disagrees throughout says nothing.
    """
    n = len(pairs)
    if n < 2:
        return 1.0
    mean_x = math.fsum(pair.score for pair in pairs) / n
    mean_y = math.fsum(pair.anchor for pair in pairs) / n
    xx = math.fsum((pair.score - mean_x) ** 2 for pair in pairs)
    xy = math.fsum((pair.score - mean_x) * (pair.anchor - mean_y) for pair in pairs)
    if xx == 0:
        return 1.0
    prior = PRIOR_PAIRS * xx / n
    return max(0.0, round((xy + prior) / (xx + prior), DECIMALS))
