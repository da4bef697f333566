"""The held-out comparison that ends a run: the best candidates against the baselines, on unseen questions.

The search score of its winner is biased upwards, because the winner was selected by it. So the winner is
chosen on one half of the held-out questions (the selection split), and compared with the untouched target,
the plain task vector and the best uniform weight on the other half (the test split). If there are too few
held-out questions for two halves (`Objective.halve`), the best of the search is the winner, and all of them
compare it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tvmerge._util.evidence import FEWEST_QUESTIONS
from tvmerge._util.tasks import first_failure, stop
from tvmerge.records import MEAN, Estimate, Evaluation, Question, Recipe, Trial
from tvmerge.report.result import Contender, Finalist, Sample
from tvmerge.run.finalist_race import clearly_behind, parts_of
from tvmerge.scoring.objective import Objective
from tvmerge.study.finalists import Candidate

Evaluate = Callable[[Recipe, Sequence[Question]], Coroutine[Any, Any, Evaluation]]


@dataclass(frozen=True, slots=True)
class ConfirmationResult:
    """The result of the held-out comparison.

    Attributes:
        contenders: All that were compared, the winner first.
        finalists: The candidates the winner was chosen from, in the order of their search scores.
        evaluations: By model, its answers to the questions of the comparison and their judgments.
    """

    contenders: tuple[Contender, ...]
    finalists: tuple[Finalist, ...]
    evaluations: Mapping[str, Evaluation]


class Confirmation:
    """Compares the best candidates of a search with the baselines.

    Args:
        evaluate: Gives the answers and judgments of a recipe on held-out questions.
        search: The same on the search questions; called for baselines that are not trials, and for all if
            there are no held-out questions.
        objective: The objective that is maximised.
        questions: All questions, of the search and held out.
        on_scored: Called as often as `results` says, each time a candidate is scored on a set of questions.
        min_coverage: Minimum fraction of each benchmark's judgments that must be ratings; a candidate below
            it is not compared.
        races: Whether finalists that are clearly behind stop before they have answered the whole selection
            split. Without it all judgments can be asked for at once.
    """

    def __init__(
        self,
        evaluate: Evaluate,
        search: Callable[[Recipe], Coroutine[Any, Any, Evaluation]],
        objective: Objective,
        questions: Iterable[Question],
        *,
        on_scored: Callable[[Candidate, Estimate], None],
        min_coverage: float,
        races: bool = True,
    ) -> None:
        self._evaluate = evaluate
        self._search = search
        self._objective = objective
        self._questions = {question.question_id: question for question in questions}
        self._on_scored = on_scored
        self._min_coverage = min_coverage
        self._races = races
        self._kept: dict[str, Evaluation] = {}

    def results(
        self,
        finalists: Sequence[Trial],
        baselines: Sequence[Candidate],
        holdout: Sequence[Question],
        seed: int,
    ) -> int:
        """Return how many scores `run` tells with the same arguments."""
        selection = self._split(finalists, holdout, seed)[0]
        return (len(finalists) if selection else 0) + 1 + len(baselines)

    async def run(
        self,
        finalists: Sequence[Trial],
        baselines: Sequence[Candidate],
        holdout: Sequence[Question],
        seed: int,
    ) -> ConfirmationResult:
        """Choose the winner among `finalists` and compare it with `baselines`.

        Args:
            finalists: The candidates to choose from, the best of the search first.
            baselines: The baselines.
            holdout: The held-out questions; if empty, the best of the search is not compared.
            seed: Seed of the split into halves.
        """
        candidates = [Candidate("best", trial.recipe, trial) for trial in finalists]
        selection, test = self._split(finalists, holdout, seed)
        if not selection:
            finalists, candidates = finalists[:1], candidates[:1]
        answered = await self._race(candidates, selection, seed)
        ranks = self._ranks(answered)
        # Where none may be chosen, the search has chosen, and no score here did.
        by_split = bool(selection) and max(ranks) > -math.inf
        chosen = [self._objective.estimate(e.judgments) if by_split else None for e in answered]
        winner = candidates[_best_of(ranks)]
        compared = (winner, *baselines)
        reported = await self._ask(compared, test)
        best = reported[0]
        return ConfirmationResult(
            contenders=tuple(
                [
                    await self._contender(candidate, evaluation, best, test)
                    for candidate, evaluation in zip(compared, reported, strict=True)
                ]
            ),
            finalists=tuple(
                Finalist(trial.number, search_estimate(trial), found)
                for trial, found in zip(finalists, chosen, strict=True)
            ),
            evaluations=self._kept,
        )

    def _split(
        self, finalists: Sequence[Trial], holdout: Sequence[Question], seed: int
    ) -> tuple[tuple[Question, ...], tuple[Question, ...]]:
        """Return the questions that choose among the finalists, if any, and those that compare the winner."""
        return self._objective.halve(holdout, seed) if len(finalists) > 1 else ((), tuple(holdout))

    async def _race(
        self, finalists: Sequence[Candidate], selection: Sequence[Question], seed: int
    ) -> list[Evaluation]:
        """Evaluate finalists on the selection split; those clearly behind do not answer all of it."""
        parts = parts_of(selection, self._objective, seed) if self._races else (tuple(selection),)
        found = [Evaluation(candidate.recipe) for candidate in finalists]
        racing, asked = list(range(len(finalists))), list[Question]()
        for part in parts:
            if asked and len(racing) < 2:
                break
            answers = await self._ask([finalists[place] for place in racing], part, tell=False)
            for place, answered in zip(racing, answers, strict=True):
                found[place] = _joined(found[place], answered)
            asked += part
            best = found[racing[_best_of(self._ranks([found[place] for place in racing]))]]
            racing = [place for place in racing if self._goes_on(found[place], best, asked)]
        for candidate, evaluation in zip(finalists, found, strict=True):
            if selection:
                self._on_scored(candidate, self._objective.estimate(evaluation.judgments))
        return found

    def _goes_on(self, found: Evaluation, best: Evaluation, asked: Sequence[Question]) -> bool:
        return not found.failure and not clearly_behind(best, found, self._objective, asked)

    def _ranks(self, answered: Sequence[Evaluation]) -> list[float]:
        """Return each one's score; -inf if it did not answer the most, or has too few ratings."""
        most = max(len(evaluation.rated) for evaluation in answered)
        ranks = []
        for evaluation in answered:
            found = self._objective.estimate(evaluation.judgments)
            few = found.n < FEWEST_QUESTIONS or math.isnan(found.mean)
            left = len(evaluation.rated) < most or few or self._short(evaluation)
            ranks.append(-math.inf if left else found.mean)
        return ranks

    async def _ask(
        self, candidates: Sequence[Candidate], questions: Sequence[Question], *, tell: bool = True
    ) -> list[Evaluation]:
        """Evaluate all candidates at once on held-out questions, each distinct recipe only once."""
        if not questions:
            return [Evaluation(candidate.recipe) for candidate in candidates]
        models: dict[str, list[Candidate]] = {}
        for candidate in reversed(candidates):
            models.setdefault(candidate.model, []).insert(0, candidate)
        for model, (candidate, *_) in models.items():
            # The log has this order, whichever of them is rated first.
            self._kept.setdefault(model, Evaluation(candidate.recipe))
        tasks = {name: asyncio.create_task(self._one(e, questions, tell=tell)) for name, e in models.items()}
        try:
            await first_failure(tasks.values())
            return [tasks[candidate.model].result() for candidate in candidates]
        finally:
            await stop(tasks.values())

    async def _one(
        self, candidates: Sequence[Candidate], questions: Sequence[Question], *, tell: bool
    ) -> Evaluation:
        """Evaluate candidates that are one model."""
        model, recipe = candidates[0].model, candidates[0].recipe
        found = await self._evaluate(recipe, questions)
        for candidate in candidates if tell else ():
            self._on_scored(candidate, self._objective.estimate(found.judgments))
        self._kept[model] = _joined(self._kept[model], found)
        return found

    async def _contender(
        self, candidate: Candidate, found: Evaluation, best: Evaluation, questions: Sequence[Question]
    ) -> Contender:
        """Return a candidate with its scores; without held-out questions they are those of the search.

        Then candidates of a search by blocks, and those that a race stopped, answer the search questions that
        they were not asked, too.
        """
        searched = None
        if candidate.trial is None or not questions:
            searched = await self._search(candidate.recipe)
        if searched is not None and not questions:
            self._kept[candidate.model] = searched
        scored = self._search_estimate(candidate, searched)
        if not questions:
            self._on_scored(candidate, scored)
        short = self._short(found) if questions else ""
        gain = None
        if questions and candidate.key != "best" and not (short or self._short(best)):
            gain = self._objective.difference(best.judgments, found.judgments)
            if found is best:  # the same model, which is known to be as good
                gain = replace(gain, low=0.0, high=0.0)
        return Contender(
            key=candidate.key,
            trial=None if candidate.trial is None else candidate.trial.number,
            weights=candidate.recipe.weights,
            search=scored,
            holdout=self._objective.estimate(found.judgments) if questions else None,
            gain=gain,
            shortfall=short,
            samples=self._samples(found if questions else searched or found),
            sparse=candidate.sparse,
        )

    def _short(self, evaluation: Evaluation) -> str:
        """Return why too few of the judgments are ratings; empty if enough are."""
        return evaluation.failure or self._objective.shortfall(evaluation.judgments, self._min_coverage)

    def _search_estimate(self, candidate: Candidate, searched: Evaluation | None) -> Estimate:
        trial = candidate.trial
        if trial is not None and (searched is None or (trial.scored and MEAN not in trial.attrs)):
            return search_estimate(trial)
        return self._objective.estimate(() if searched is None else searched.judgments)

    def _samples(self, evaluation: Evaluation) -> tuple[Sample, ...]:
        return tuple(
            Sample(self._questions[answer.question_id], answer, judgments)
            for answer, judgments in evaluation.rated
        )


def _best_of(ranks: Sequence[float]) -> int:
    """Return the place of the best; max() returns the first of equals, so the search's order decides them."""
    return max(range(len(ranks)), key=ranks.__getitem__)


def _joined(first: Evaluation, second: Evaluation) -> Evaluation:
    """Return the evaluation of one candidate on two sets of questions."""
    return replace(first, rated=first.rated + second.rated, failure=first.failure or second.failure)


def search_estimate(trial: Trial) -> Estimate:
    """Return a scored trial's estimate on the search questions."""
    se = trial.attrs.get("se")
    mean = trial.attrs.get(MEAN, math.nan if trial.overall is None else trial.overall)
    return Estimate(mean, math.nan if se is None else se, trial.attrs["n"])
