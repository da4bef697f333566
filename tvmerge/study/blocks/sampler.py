"""Which candidate answers which questions next: few questions of many candidates.

A merge in place costs little and a judge's call costs money. So most candidates answer one block of
questions, a Gaussian process pieces the blocks together (`model`), and the next candidate is the maximum of
a draw from what it knows (Thompson, On the Likelihood that One Unknown Probability Exceeds Another, 1933),
among new points around the best ones (`steps`) and the best ones themselves, which answer their next block.

An ask depends on the seed, its number and the table alone: a sampler that is made again asks the same.
What is compared is rounded where it can be (hyperparameters, the ranking) and ties go to the first, so that
another matrix library rarely decides otherwise; but a draw is not, and there two points that differ in the
last bits may change places. Even then no ask is made twice or changed: a study keeps those it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from tvmerge.study.blocks.anchor import Anchoring
from tvmerge.study.blocks.factor import root
from tvmerge.study.blocks.gain import Forecast
from tvmerge.study.blocks.initial import first_asks
from tvmerge.study.blocks.knowledge import Knowledge, Ranked
from tvmerge.study.blocks.metric import metric_of
from tvmerge.study.blocks.model import Model
from tvmerge.study.blocks.scale import Scale
from tvmerge.study.blocks.search import BlockSearch, Choice, blocks_of, first_run
from tvmerge.study.blocks.size import ASSUMED
from tvmerge.study.blocks.steps import Steps
from tvmerge.study.blocks.table import Table
from tvmerge.study.seeds import derive_seed

if TYPE_CHECKING:
    from numpy.random import RandomState

    from tvmerge.study.blocks.metric import Floats

REFITS = (20, 28, 40, 56, 80, 112, 160, 220, 300, 400, 550, 750, 1000, 1400, 2000)
"""Numbers of told asks at which hyperparameters are fitted: from these asks alone, each from the last."""

SCATTERED = 6
"""Candidates drawn around the best of the given ones, before the model is used."""

_SCATTER, _RADIUS = 0.25, 0.25  # standard deviations, in weights scaled to [0, 2]
_POINTS, _BEST, _AGAIN = 300, 6, 25  # new points; candidates that these start from; candidates asked again


class BlockSampler:
    """Asks blocks of questions of candidates.

    Args:
        search: What is searched.
        block: How many questions a candidate answers at a time; None if tables say so, once what is asked
            first has shown what it costs.

    Attributes:
        given: The recipes that are asked first, each with what is recorded with its trial.
        waits_for_size: Whether tables say how many questions are asked at a time.
    """

    def __init__(self, search: BlockSearch, block: int | None) -> None:
        self._search = search
        self.waits_for_size = block is None
        self._block = min(block or ASSUMED, search.questions)
        self._choices, self.given = first_asks(search, self._block)
        self._point = search.scale / 9
        self._metric = metric_of(Scale(search.space).names, search.space.parts)
        self._model = Model(self._metric)
        self._anchoring = Anchoring(self._metric, self._point, REFITS)
        self._steps = Steps(self._metric.groupings, _RADIUS)
        self._fitted: dict[int, Floats] = {}
        self._last: Knowledge | None = None

    @property
    def questions(self) -> int:
        """How many questions the search has."""
        return self._search.questions

    @cached_property
    def forecast(self) -> Forecast:
        """Estimates what further answers can gain."""
        first = max(len(self._choices) + SCATTERED, REFITS[0])
        return Forecast(
            self._model,
            self._steps,
            self._theta,
            lambda table: [trial for trial, *_ in self.ranked(table)],
            seed=self._search.seed,
            point=self._point,
            sizes=(first, *(size for size in REFITS if size > first)),
        )

    @property
    def initial(self) -> int:
        """How many asks there are before the model decides."""
        return len(self._choices)

    def ask(self, number: int, table: Table) -> Choice:
        """What is asked next.

        Args:
            number: How many asks there were.
            table: What is known, by the window.
        """
        from numpy.random import RandomState

        given = len(self._choices)
        if number < given:
            return self._choices[number]
        # Its stream is the same in all versions of numpy, unlike that of a Generator.
        rng = RandomState(derive_seed(self._search.seed, "block", number))
        if number < given + SCATTERED:
            found = self._next_block(self._scattered(rng, number - given, table), number, _Asked(table))
            if found is not None:
                return found
        return self._drawn(rng, number, table)

    def ranked(self, table: Table) -> Sequence[Ranked]:
        """Candidates with ratings as (trial, mean, standard deviation) of their score, the best first."""
        return self._known(table).ranking

    def variance_ratio(self, table: Table) -> float:
        """The variance of a candidate's ratings, over that between candidates."""
        import numpy as np

        data, *_ = table.ratings(self._point)
        prior = self._model.prior
        *_, between, _, within = self._model.fit(data, prior, 25) if data.counts.any() else prior
        return float(np.exp(2 * (within - between)))

    def _drawn(self, rng: RandomState, number: int, table: Table) -> Choice:
        """The maximum of a draw, among new points and the best candidates."""
        import numpy as np

        found = self._known(table)
        ranking = [trial for trial, *_ in found.ranking]
        if not ranking:  # all that was asked failed, or is in flight
            return self._elsewhere(rng, number, table)
        known, weights = found.expected, table.weights
        new = self._steps.draw(rng, weights[ranking[:_BEST]], number, _POINTS)
        again = ranking[:_AGAIN]
        points = np.vstack([new, weights[again]])
        deviations = root(known.covariance(points), least=1e-6) @ rng.standard_normal(len(points))
        drawn = known.mean(points) + deviations
        asked = _Asked(table)
        choices = (self._next_block(points[i], number, asked) for i in np.argsort(-drawn, kind="stable"))
        return next(filter(None, choices), None) or self._elsewhere(rng, number, table)

    def _elsewhere(self, rng: RandomState, number: int, table: Table) -> Choice:
        """A point around the middle that nobody has asked."""
        import numpy as np

        asked, middle = _Asked(table), np.ones(table.weights.shape[1])
        while True:
            found = self._next_block(self._steps.around(rng, middle, _SCATTER), number, asked)
            if found is not None:
                return found

    def _scattered(self, rng: RandomState, place: int, table: Table) -> Floats:
        """The best of the given candidates, then points around it."""
        import numpy as np

        asked = (ask.trial for ask in (*table.known, *table.pending) if ask.number < len(self._choices))
        given = frozenset(asked)
        best = next((trial for trial, *_ in self.ranked(table) if trial in given), None)
        centre = np.ones(table.weights.shape[1]) if best is None else table.weights[best]
        return centre if place == 0 else self._steps.around(rng, centre, _SCATTER)

    def _next_block(self, weights: Floats, number: int, asked: _Asked) -> Choice | None:
        """The block that ask `number` is about, or the next that the candidate has not been asked.

        None if it has been asked all questions, or is known to be unusable.
        """
        had = asked.questions(weights)
        if had is None:
            return None
        blocks = blocks_of(self.questions, min(asked.block or self._block, self.questions))
        for turn in range(len(blocks)):
            if left := first_run(blocks[(number + turn) % len(blocks)], had):
                return Choice(weights, left.start, left.stop)
        return None

    def _known(self, table: Table) -> Knowledge:
        """What the model makes of a table; kept, since the last one is mostly asked for again."""
        if self._last is None or not self._last.of(table):
            difference = self._anchoring.difference(table) if table.anchored else None
            self._last = Knowledge(self._model, self._point, table, self._theta(table), difference)
        return self._last

    def _theta(self, table: Table) -> Floats:
        """The hyperparameters for a table: those fitted at the last of `REFITS` that it holds."""
        theta = self._model.prior
        for size in REFITS:
            if size > len(table.known):
                break
            if size not in self._fitted:
                data, *_ = table.ratings(self._point, size)
                self._fitted[size] = self._model.fit(data, theta, 25) if data.counts.any() else theta
            theta = self._fitted[size]
        return theta


class _Asked:
    """What was asked of the candidates of a table, by their weights.

    A new point can be a candidate that there is: a crossing of one with itself, or a point at the border.
    """

    def __init__(self, table: Table) -> None:
        self.block = table.block
        self._table, self._failed = table, table.failed
        self._trials = {row.tobytes(): trial for trial, row in enumerate(table.weights)}

    def questions(self, weights: Floats) -> frozenset[int] | None:
        """Places of the questions that were asked of these weights; None if they are known to be unusable."""
        trial = self._trials.get(weights.tobytes())
        if trial is None:
            return frozenset()
        return None if trial in self._failed else self._table.asked(trial)
