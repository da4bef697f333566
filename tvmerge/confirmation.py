"""The last part of a run: the best candidate against those every user already has, on held-out questions."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tvmerge.errors import StudyError
from tvmerge.evaluation.statistics import estimate, paired_interval
from tvmerge.records import Answer, Estimate, Evaluation, Judgment, Question, QuestionId, Recipe, Trial
from tvmerge.report.result import Contender, ContenderKey, Sample
from tvmerge.search.space import Space, uniform_weight

Evaluate = Callable[[Recipe, Sequence[Question]], Coroutine[Any, Any, Evaluation]]


@dataclass(frozen=True, slots=True)
class Entrant:
    """A candidate that is compared at the end, with its trial if the study has one."""

    key: ContenderKey
    recipe: Recipe
    trial: Trial | None

    @property
    def model(self) -> str:
        """Its name in the evidence."""
        return str(self.trial.number) if self.trial is not None else self.key


def choose(space: Space, trials: Sequence[Trial]) -> tuple[Entrant, ...]:
    """The best trial, the two baselines, and the best uniform weight where uniform weights were tried.

    Raises:
        StudyError: No trial was scored.
    """
    scored = [trial for trial in trials if trial.value is not None]
    best = _best(scored)
    if best is None:
        raise StudyError(f"none of the {len(trials)} trials was scored; see the run folder's model_judgment/")
    entrants = [Entrant("best", best.recipe, best)]
    baselines: tuple[tuple[ContenderKey, float], ...] = (("weight_0", 0.0), ("weight_1", 1.0))
    for key, weight in baselines:
        recipe = space.uniform(weight)
        same = (t for t in scored if dict(t.recipe.weights) == dict(recipe.weights))
        entrants.append(Entrant(key, recipe, next(same, None)))
    uniform = _best([trial for trial in scored if uniform_weight(trial.recipe) is not None])
    if uniform is not None:
        entrants.append(Entrant("uniform", uniform.recipe, uniform))
    return tuple(entrants)


async def confirm(
    entrants: Sequence[Entrant],
    evaluate: Evaluate,
    search: Sequence[Question],
    holdout: Sequence[Question],
    on_scored: Callable[[Entrant, Evaluation], None],
) -> tuple[Contender, ...]:
    """Score each entrant on the held-out questions and compare the best with the others.

    Args:
        entrants: The best first.
        evaluate: Answers and judgments of a recipe on questions.
        search: The questions of the search.
        holdout: The held-out questions; may be empty.
        on_scored: Called with each evaluation on the held-out questions, once a model.
    """
    shown = holdout or search
    evaluations: dict[str, Evaluation] = {}
    for entrant in entrants:
        if entrant.model not in evaluations:
            evaluations[entrant.model] = await evaluate(entrant.recipe, shown)
            if holdout:
                on_scored(entrant, evaluations[entrant.model])
    best = evaluations[entrants[0].model]
    contenders = []
    for entrant in entrants:
        evaluation = evaluations[entrant.model]
        compared = bool(holdout) and entrant.key != "best"
        contenders.append(
            Contender(
                key=entrant.key,
                trial=entrant.trial.number if entrant.trial is not None else None,
                weights=entrant.recipe.weights,
                search=await _search_estimate(entrant, evaluate, search),
                holdout=estimate(evaluation.judgments) if holdout else None,
                gain=paired_interval(best.judgments, evaluation.judgments) if compared else None,
                samples=_samples(evaluation, shown),
            )
        )
    return tuple(contenders)


async def _search_estimate(entrant: Entrant, evaluate: Evaluate, search: Sequence[Question]) -> Estimate:
    if entrant.trial is None or entrant.trial.value is None:
        return estimate((await evaluate(entrant.recipe, search)).judgments)
    se = entrant.trial.attrs.get("se")
    return Estimate(entrant.trial.value, float("nan") if se is None else se, entrant.trial.attrs["n"])


def _samples(evaluation: Evaluation, questions: Sequence[Question]) -> tuple[Sample, ...]:
    """Each question with its first answer and that answer's judgments."""
    judgments: dict[QuestionId, list[Judgment]] = {}
    for judgment in evaluation.judgments:
        judgments.setdefault(judgment.question_id, []).append(judgment)
    answers: Mapping[QuestionId, Answer] = {
        answer.question_id: answer for answer in reversed(evaluation.answers)
    }
    return tuple(
        Sample(question, answers[question.question_id], tuple(judgments.get(question.question_id, ())))
        for question in questions
        if question.question_id in answers
    )


def _best(trials: Sequence[Trial]) -> Trial | None:
    """The trial with the highest score, the earliest of equals."""
    return max(trials, key=lambda t: (t.value if t.value is not None else -1.0, -t.number), default=None)
