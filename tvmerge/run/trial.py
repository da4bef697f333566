"""Evaluates a trial on the search questions, with early stopping, and scores it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tvmerge.errors import ProviderError
from tvmerge.protocols import Race, Study
from tvmerge.records import (
    CUT_IN_THOUGHT,
    CUT_OFF,
    FAILURE,
    OVERALL,
    Evaluation,
    Judgment,
    Outcome,
    Question,
    Trial,
    Unrated,
)
from tvmerge.run.loop import Evaluator
from tvmerge.scoring.objective import Objective
from tvmerge.scoring.racing import RacingRules, Scores, projected_score, should_prune
from tvmerge.scoring.statistics import coverage, finish_share, shortfall, why_silent

SCORES = "scores"
"""Trial attribute: what each question adds to the score, in the order asked; None without a rating."""


class Trials:
    """Evaluates the trials of a study and scores them.

    Args:
        study: The study; knows which trials were finished when a trial was asked.
        evaluator: Generates and judges a candidate's answers.
        objective: The objective that is maximised.
        questions: The search questions, in the order every candidate is asked.
        rules: The rules of early stopping; None if every candidate answers all questions.
        min_coverage: Minimum fraction of each benchmark's judgments that must be ratings; else a trial fails.
        several: Whether each benchmark is a separate objective of the study (a Pareto front).
    """

    def __init__(
        self,
        study: Study,
        evaluator: Evaluator,
        objective: Objective,
        questions: Sequence[Question],
        *,
        rules: RacingRules | None,
        min_coverage: float,
        several: bool = False,
    ) -> None:
        self._study = study
        self._evaluator = evaluator
        self._objective = objective
        self._questions = questions
        self._rules = rules
        self._min_coverage = min_coverage
        self._several = several

    async def evaluate(self, trial: Trial) -> Evaluation:
        """Return the trial's answers and judgments, up to where it is pruned."""
        return await self._evaluator.evaluate(
            trial.recipe, self._questions, self._race(trial), label=f"trial {trial.number}"
        )

    def outcome(self, trial: Trial, evaluation: Evaluation) -> Outcome:
        """Return the trial's result: the score, or a failure if too few judgments are ratings.

        Raises:
            ProviderError: A judge rated nothing, and the answers are not the cause.
        """
        if evaluation.failure:
            return Outcome(None, {FAILURE: evaluation.failure})
        judgments = evaluation.judgments
        found = self._objective.estimate(judgments)
        attrs = {
            "n": found.n,
            "coverage": round(coverage(judgments), 6),
            "judgments": len(judgments),
            "questions": len({answer.question_id for answer in evaluation.answers}),
            CUT_OFF: round(finish_share(evaluation.answers, "length"), 6),
            CUT_IN_THOUGHT: round(finish_share(evaluation.answers, "thought"), 6),
        }
        short = self._shortfall(evaluation)
        if short:
            if silent := why_silent(judgments):
                raise ProviderError(f"trial {trial.number}: {silent}; then run the same command to resume")
            return Outcome(None, attrs | {FAILURE: short})
        scores = self._scores(judgments)
        incumbent = self._incumbent(trial)
        if evaluation.stopped and incumbent is not None:
            return Outcome(_projected_score(scores, incumbent), attrs, stopped=True)
        if math.isnan(found.mean):
            return Outcome(None, attrs | {FAILURE: self._objective.lacking(judgments)})
        return self._complete(judgments, attrs | {"se": _number(found.se), SCORES: scores}, found.mean)

    def _shortfall(self, evaluation: Evaluation) -> str:
        """Return why too few judgments are ratings; empty if enough are.

        A pruned trial may have been asked eight questions, two of them of a benchmark. That is too few for a
        minimum fraction of each benchmark, so one rating of it is enough, and one question may have none.
        """
        judgments: Sequence[Judgment] = evaluation.judgments
        if evaluation.stopped:
            judgments = _without_one_unrated(judgments)
            return shortfall(judgments, self._min_coverage) or self._objective.shortfall(judgments, 0)
        return self._objective.shortfall(judgments, self._min_coverage)

    def _complete(self, judgments: Sequence[Judgment], attrs: Mapping[str, Any], mean: float) -> Outcome:
        if len(self._objective.parts) == 1:
            return Outcome(mean, attrs)
        parts = {name: found.mean for name, found in self._objective.by_part(judgments).items()}
        if self._several:
            values = tuple(parts.values())
            return Outcome(values[0], {**attrs, "parts": parts, OVERALL: mean}, values=values)
        return Outcome(mean, {**attrs, "parts": parts})

    def _scores(self, judgments: Sequence[Judgment]) -> list[float | None]:
        found = self._objective.contributions(judgments, self._questions)
        return [found.get(question.question_id) for question in self._questions]

    def _race(self, trial: Trial) -> Race | None:
        """Return the trial's race against the best trial known when it was asked; None without one."""
        incumbent = self._incumbent(trial)
        if self._rules is None or incumbent is None:
            return None
        return _IncumbentRace(incumbent.attrs[SCORES], self._rules, self._scores)

    def _incumbent(self, trial: Trial) -> Trial | None:
        return self._study.best_known_at(trial.number)


class _IncumbentRace:
    """A `tvmerge.protocols.Race` against the scores of the best trial so far."""

    def __init__(
        self,
        incumbent: Scores,
        rules: RacingRules,
        scores: Callable[[Sequence[Judgment]], Scores],
    ) -> None:
        self._incumbent = incumbent
        self._rules = rules
        self._scores = scores

    @property
    def interim_checks(self) -> Sequence[int]:
        return self._rules.interim_checks(len(self._incumbent))

    @property
    def wave(self) -> int:
        return self._rules.batch

    def should_prune(self, judgments: Sequence[Judgment]) -> bool:
        return should_prune(self._scores(judgments), self._incumbent, self._rules.p)


def _without_one_unrated(judgments: Sequence[Judgment]) -> list[Judgment]:
    """Leave out the first question that lacks a rating."""
    lacking = next((j.question_id for j in judgments if isinstance(j, Unrated)), None)
    return [judgment for judgment in judgments if judgment.question_id != lacking]


def _projected_score(scores: Scores, incumbent: Trial) -> float:
    return projected_score(scores, incumbent.attrs[SCORES], incumbent.values[0])


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


if TYPE_CHECKING:
    _race: type[Race] = _IncumbentRace
