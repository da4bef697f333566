"""Searches with and without what is known of candidates before a judge is asked, on the same questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import spearmanr

from perf.economy.noise import noisy
from perf.economy.rows import BLOCK, Problem
from perf.economy.searches import truth
from perf.economy.subject import Subject
from perf.signals.likelihood import best_answers, mean_likelihood, turns
from perf.signals.two_outputs import TwoOutputs
from tvmerge.records import Answer, Continuation, QuestionId, Rating, Recipe
from tvmerge.run.build import Run
from tvmerge.run.loop import Evaluator
from tvmerge.study.blocks.sampler import BlockSampler
from tvmerge.study.blocks.scale import Scale
from tvmerge.study.blocks.search import BlockSearch, Choice
from tvmerge.study.blocks.table import Ask, Table
from tvmerge.study.warm_start import InitialTrials

if TYPE_CHECKING:
    from tvmerge.study.blocks.metric import Floats

SCALE = 9.0
"""How far apart the lowest and the highest rating are."""

ASKS = (14, 20, 40)
"""Numbers of first asks whose best answers' likelihood is compared with the truth."""


@dataclass
class Searched:
    """A search so far.

    Attributes:
        rows: The candidates' weights, scaled.
        asks: What they were asked.
        answers: Their answers, by number of the ask and question.
        recommended: After each ask, the number of judge calls and the candidate that is recommended.
    """

    rows: list[Floats] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)
    answers: dict[tuple[int, QuestionId], Answer] = field(default_factory=dict)
    recommended: list[tuple[int, int]] = field(default_factory=list)

    def at(self, calls: int) -> int:
        """Return the candidate that is recommended after so many judge calls."""
        return [trial for spent, trial in self.recommended if spent <= calls][-1]


class Search:
    """Searches by blocks, one ask after another, in memory.

    Args:
        run: The run whose models and questions are searched.
        problem: What is searched.
        begin: Number of asks from which the likelihood of the best answers so far is a second output; None
            without one.
        enqueued: Candidates that are asked first.
    """

    def __init__(
        self, run: Run, problem: Problem, begin: int | None = None, enqueued: Sequence[Recipe] = ()
    ) -> None:
        self._run = run
        self._scale = Scale(run.space)
        judge = run.suite.judge
        rater = noisy(judge, problem.noise, problem.seed) if problem.noise else judge
        self._evaluator = Evaluator(run.pool, rater, run.sampling)
        first = InitialTrials(tuple(enqueued))
        search = BlockSearch(run.space, first, len(run.search_questions), SCALE, problem.seed)
        self._begin = begin
        make: Callable[[BlockSearch, int], BlockSampler] = (
            BlockSampler if begin is None else partial(TwoOutputs, begin=begin)
        )
        self.sampler = make(search, BLOCK)
        self.found = Searched()
        self._texts: list[Continuation] = []
        self._likelihoods: list[float] = []
        self._calls = 0

    async def until(self, calls: int) -> Searched:
        """Ask until so many judge calls are made."""
        while self._calls < calls:
            choice = self.sampler.ask(len(self.found.asks), self._table())
            await self._answer(choice)
            await self._learn_likelihoods()
            best, *_ = self.sampler.ranked(self._table())[0]
            self.found.recommended.append((self._calls, best))
        return self.found

    @property
    def rhos(self) -> dict[int, float]:
        """By number of asks at a fit, the factor of the second output; empty without one."""
        return self.sampler.rhos if isinstance(self.sampler, TwoOutputs) else {}

    def recipe(self, trial: int) -> Recipe:
        """Return the weights of a candidate."""
        return self._scale.recipe(self.found.rows[trial])

    async def likelihoods(self, asks: int) -> list[float]:
        """Return for all candidates the likelihood of the best answers of the first asks."""
        texts = self._best_of(asks)
        return [await mean_likelihood(self._run, self.recipe(n), texts) for n in range(len(self.found.rows))]

    def _best_of(self, asks: int) -> list[Continuation]:
        run, found = self._run, self.found
        best = best_answers(found.asks[:asks], found.answers, run.search_questions)
        end = run.stops.ids[0]
        return [text for question, answer in best for text in turns(run.chat, end, question, answer)]

    async def _learn_likelihoods(self) -> None:
        """Compute what the sampler does not have yet."""
        if not isinstance(self.sampler, TwoOutputs) or len(self.found.asks) < (self._begin or 0):
            return
        self._texts = self._texts or self._best_of(self._begin or 0)
        for trial in range(len(self._likelihoods), len(self.found.rows)):
            self._likelihoods.append(await mean_likelihood(self._run, self.recipe(trial), self._texts))
        self.sampler.likelihoods = self._likelihoods

    async def _answer(self, choice: Choice) -> None:
        found, questions = self.found, self._run.search_questions[choice.start : choice.stop]
        number = len(found.asks)
        same = (n for n, row in enumerate(found.rows) if np.array_equal(row, choice.weights))
        trial = next(same, len(found.rows))
        if trial == len(found.rows):
            found.rows.append(choice.weights)
        rated = (await self._evaluator.evaluate(self.recipe(trial), questions)).rated
        scores = []
        for question, (answer, judgments) in zip(questions, rated, strict=True):
            ratings = [one.score for one in judgments if isinstance(one, Rating)]
            scores.append(float(np.mean(ratings)) if ratings else None)
            found.answers[number, question.question_id] = answer
            self._calls += len(judgments)
        found.asks.append(Ask(number, trial, choice.start, choice.stop, tuple(scores)))

    def _table(self) -> Table:
        rows, questions = self.found.rows, len(self._run.search_questions)
        weights = np.array(rows).reshape(len(rows), len(self._scale.names))
        return Table(weights, tuple(self.found.asks), (), questions)


async def rank_correlations(
    run: Run, problem: Problem, subject: Subject, calls: int
) -> dict[int, tuple[float, float]]:
    """Return Spearman's correlations of likelihood and truth over the candidates of a search.

    Returns:
        By number of asks whose best answers count: of all candidates, and of the better half.
    """
    search = Search(run, problem)
    found = await search.until(calls)
    truths = np.array([await truth(run, problem, subject, search.recipe(n)) for n in range(len(found.rows))])
    better = truths >= np.median(truths)
    correlations = {}
    for asks in ASKS:
        if asks <= len(found.asks):
            values = np.array(await search.likelihoods(asks))
            every, half = (float(spearmanr(values[p], truths[p])[0]) for p in (slice(None), better))
            correlations[asks] = every, half
    return correlations
