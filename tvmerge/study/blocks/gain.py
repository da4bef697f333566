"""What further answers can gain: how far the recommended candidate may be from the best one.

Regret and its bound are estimated as by Wilson (Stopping Bayesian Optimization with Probabilistic Regret
Bounds, 2024): functions are drawn from the posterior, and each has its maximum. Here the maximum is over the
best candidates and new points around them, which are what the search would ask next.

The gain is the expected value of sample information (Raiffa and Schlaifer, Applied Statistical Decision
Theory, 1961): E[max m'] - max m, where m is what candidates are expected to score now, and m' after as many
answers again, spread over the maxima of draws as the search spreads them. m' - m is normal, with what these
answers take off the covariance (Frazier, Powell and Dayanik, The Knowledge-Gradient Policy for Correlated
Normal Beliefs, 2009, equation 9).

A stationary model expects too much near the top, where scores approach the end of their scale. So both are
multiplied by how far earlier estimates of the same study have come true.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tvmerge.study.blocks.factor import symmetric_root
from tvmerge.study.blocks.model import Model, Posterior, Ratings
from tvmerge.study.blocks.steps import Steps
from tvmerge.study.blocks.table import Table
from tvmerge.study.seeds import derive_seed

if TYPE_CHECKING:
    from numpy.random import RandomState

    from tvmerge.study.blocks.metric import Floats, Ints

DECIMALS = 4
"""To which estimates are rounded, so that the last bits of a matrix library do not decide when to stop."""

BELIEF = 0.25
"""How many earlier looks weigh as much as the model does by itself."""

RECENT = 3
"""Looks count from a third of the asks on; before, the model knew too little."""

_DRAWS = 500
_POINTS, _BEST, _KEPT = 300, 6, 50  # new points; candidates that these start from; candidates compared
_MORE = 32  # points that further answers are spread over


@dataclass(frozen=True, slots=True)
class Prospect:
    """What can still be gained, in scores.

    Attributes:
        answers: How many answers were asked for.
        gain: What as many answers again are expected to gain.
        regret: How far the recommended candidate is expected to be from the best.
        regret_95: What the regret is below with a probability of 95%.
    """

    answers: int
    gain: float
    regret: float
    regret_95: float


@dataclass(frozen=True)
class _Look:
    """What the model expects of a table by itself, in points; and the weights recommended, shape (1, d)."""

    weights: Floats
    posterior: Posterior
    expected: Prospect


class Forecast:
    """Estimates what further answers can gain; a function of the table alone.

    Args:
        model: The model of the search.
        steps: Draws new points.
        theta: The hyperparameters for a table.
        ranked: The trials of a table with ratings, the best first.
        seed: Root seed.
        point: What a ninth of the scale is in scores.
        sizes: Numbers of told asks at which earlier estimates are looked at, the first one included.
    """

    def __init__(
        self,
        model: Model,
        steps: Steps,
        theta: Callable[[Table], Floats],
        ranked: Callable[[Table], Sequence[int]],
        *,
        seed: int,
        point: float,
        sizes: Sequence[int],
    ) -> None:
        self._model = model
        self._steps = steps
        self._theta = theta
        self._ranked = ranked
        self._seed = seed
        self._point = point
        self._sizes = sizes
        self._looks: dict[int, _Look | None] = {}

    def of(self, table: Table) -> Prospect | None:
        """What can still be gained; None before the model is fitted to the first asks, or without a score.

        Args:
            table: The asks told, none in flight.
        """
        size = len(table.known)
        if size < self._sizes[0] or (now := self._look(table, size)) is None:
            return None
        earlier = [
            self._look(table, known) for known in self._sizes if size <= RECENT * known < RECENT * size
        ]
        share = self._point * _come_true(now, [look for look in earlier if look is not None])
        found = now.expected
        # No other look is needed again, and each holds a matrix of all candidates.
        self._looks = {
            known: look for known, look in self._looks.items() if known == size or known in self._sizes
        }
        scores = (round(share * points, DECIMALS) for points in (found.gain, found.regret, found.regret_95))
        return Prospect(found.answers, *scores)

    def _look(self, table: Table, size: int) -> _Look | None:
        if size not in self._looks:
            self._looks[size] = self._looked(replace(table, known=table.known[:size], pending=()))
        return self._looks[size]

    def _looked(self, table: Table) -> _Look | None:
        import numpy as np
        from numpy.random import RandomState

        ranked = self._ranked(table)[:_KEPT]
        if not ranked:
            return None
        number = len(table.known)
        rng = RandomState(derive_seed(self._seed, "stop", number))
        data, trials, _ = table.ratings(self._point)
        theta = self._theta(table)
        known = self._model.condition(data, theta)
        new = self._steps.draw(rng, table.weights[ranked[:_BEST]], number, _POINTS)
        points = np.vstack([table.weights[ranked], new])
        mean, covariance = known.mean(points), known.covariance(points)
        drawn = _draws(rng, mean, covariance, _DRAWS)
        regret = drawn.max(axis=1) - drawn[:, 0]
        further = drawn[:_MORE].argmax(axis=1)
        more = _as_many_again(data, points, [trials.index(trial) for trial in ranked], further)
        after = self._model.condition(more, theta)  # its covariance does not depend on what the answers are
        learnt = _draws(rng, mean, covariance - after.covariance(points), _DRAWS)
        rated = np.union1d(np.arange(len(ranked)), further)
        gain = learnt[:, rated].max(axis=1).mean() - mean[: len(ranked)].max()
        bound = np.quantile(regret, 0.95)
        answers = sum(ask.stop - ask.start for ask in table.known)
        expected = Prospect(answers, max(0.0, float(gain)), float(regret.mean()), float(bound))
        return _Look(points[:1], known, expected)


def _draws(rng: RandomState, mean: Floats, covariance: Floats, count: int) -> Floats:
    """Draws of a normal distribution, shape (`count`, n)."""
    found: Floats = mean + rng.standard_normal((count, len(mean))) @ symmetric_root(covariance)
    return found


def _as_many_again(data: Ratings, points: Floats, rows: Sequence[int], further: Ints) -> Ratings:
    """The ratings with the weights of as many again, spread evenly over all questions.

    Args:
        data: The ratings.
        points: The points that may be asked; the first ones are candidates.
        rows: The row of `data` of each of these candidates.
        further: Which points are asked, each as often as it stands there.
    """
    import numpy as np

    asked, times = np.unique(further, return_counts=True)
    new = asked[asked >= len(rows)]
    place = {point: len(data.weights) + index for index, point in enumerate(new)}
    questions = data.counts.shape[1]
    empty = np.zeros((len(new), questions))
    counts = np.vstack([data.counts, empty])
    for point, count in zip(asked, times, strict=True):
        row = place[point] if point in place else rows[point]
        counts[row] += data.counts.sum() * count / (len(further) * questions)
    return Ratings(np.vstack([data.weights, points[new]]), np.vstack([data.ratings, empty]), counts)


def _come_true(now: _Look, earlier: Sequence[_Look]) -> float:
    """How much of the regret that the model expected earlier has come true, as a share.

    A regret of then is by now what the candidate recommended then is behind the one recommended now, and the
    regret of that. The share is at most 1, which it is before there is anything to go by.
    """
    gained = expected = BELIEF
    best = float(now.posterior.mean(now.weights)[0])
    for look in earlier:
        if look.expected.regret == 0:  # it promised nothing
            continue
        behind = best - float(now.posterior.mean(look.weights)[0])
        gained += max(0.0, behind) / look.expected.regret
        expected += max(0.0, 1 - now.expected.regret / look.expected.regret)
    return min(1.0, gained / expected)
