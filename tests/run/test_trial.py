"""Trials: who races against whom, and what a study is told."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from optuna.storages import InMemoryStorage

from tests.tables import Rate, Table
from tvmerge.errors import ProviderError
from tvmerge.records import (
    FAILURE,
    OVERALL,
    Answer,
    Evaluation,
    Judgment,
    Outcome,
    Question,
    QuestionId,
    Rating,
    Recipe,
    Sampling,
    Trial,
    Unrated,
)
from tvmerge.run.loop import Evaluator, search
from tvmerge.run.trial import SCORES, Trials
from tvmerge.scoring.objective import Objective, Part
from tvmerge.scoring.racing import RacingRules
from tvmerge.study.ranking import best_of, ranked
from tvmerge.study.sampler import make_sampler
from tvmerge.study.space import Space
from tvmerge.study.storage import enter_study
from tvmerge.study.study import SearchStudy, distributions

SPACE = Space(("a", "b"), 0.0, 2.0)
QUESTIONS = [Question(number, "any", ("?",)) for number in (7, 3, 9, 1, 5, 8, 2, 6, 4, 0, 11, 10, 12, 13)]
IDS = [question.question_id for question in QUESTIONS]
ONE = Objective((Part("one", frozenset(IDS)),))
RULES = RacingRules(p=0.1, minimum=5, batch=5)


def rating(recipe: Recipe, question: Question) -> float:
    """What makes a question hard is the same for all; the weight is what a candidate is better by."""
    return int(question.question_id) % 5 + recipe.weights["a"]


def make_study(given: Sequence[float], drawn: Sequence[float], window: int = 1) -> SearchStudy:
    """A study that tries these uniform weights, the latter as if its sampler had drawn them."""
    storage = InMemoryStorage()
    return SearchStudy(
        storage,
        enter_study(storage, "s", {}, {}),
        SPACE,
        make_sampler("random", distributions(SPACE), 1),
        enqueued=[SPACE.uniform(weight) for weight in given],
        inherited={number: SPACE.uniform(weight) for number, weight in enumerate(drawn)},
        window=window,
    )


def make_trials(
    study: SearchStudy, rate: Rate = rating, rules: RacingRules | None = RULES
) -> tuple[Trials, Table]:
    table = Table(rate)
    evaluator = Evaluator(table, table, Sampling())
    return Trials(study, evaluator, ONE, QUESTIONS, rules=rules, min_coverage=0.9), table


async def run(study: SearchStudy, trials: Trials) -> list[tuple[str, float | None, int]]:
    """State, score and number of questions of each trial."""
    await search(study, 3, trials.evaluate, trials.outcome, lambda trial: None)
    return [(t.state, t.value and round(t.value, 9), t.attrs["questions"]) for t in study.trials]


MEAN = math.fsum(rating(SPACE.uniform(0), question) for question in QUESTIONS) / len(QUESTIONS)


async def test_a_candidate_that_is_worse_is_stopped_and_told_what_it_would_have_scored() -> None:
    study = make_study([1.0], [0.75, 1.5])
    trials, table = make_trials(study)
    assert await run(study, trials) == [
        ("COMPLETE", round(MEAN + 1, 9), 14),
        ("PRUNED", round(MEAN + 0.75, 9), 5),
        ("COMPLETE", round(MEAN + 1.5, 9), 14),
    ]
    assert table.judged == [*IDS, *IDS[:5], *IDS]
    assert study.trials[1].attrs["judgments"] == 5


async def test_what_a_stopped_candidate_is_told_depends_on_the_questions_up_to_the_check_alone() -> None:
    told = []
    for later in (0.0, 9.0):
        study = make_study([1.0], [0.75, 0.75])

        def rate(recipe: Recipe, question: Question, later: float = later) -> float:
            behind = IDS.index(question.question_id) >= 5
            return later if behind and recipe.weights["a"] == 0.75 else rating(recipe, question)

        told.append(await run(study, make_trials(study, rate)[0]))
    assert told[0] == told[1]
    assert told[0][1][0] == "PRUNED"


async def test_given_weights_race_too() -> None:
    study = make_study([1.0, 0.5, 1.5], [])
    assert await run(study, make_trials(study)[0]) == [
        ("COMPLETE", round(MEAN + 1, 9), 14),
        ("PRUNED", round(MEAN + 0.5, 9), 5),
        ("COMPLETE", round(MEAN + 1.5, 9), 14),
    ]


async def test_without_rules_nobody_is_stopped() -> None:
    study = make_study([1.0], [0.5, 0.25])
    found = await run(study, make_trials(study, rules=None)[0])
    assert [(state, questions) for state, _, questions in found] == [("COMPLETE", 14)] * 3


@pytest.mark.parametrize(("window", "state"), [(1, "PRUNED"), (2, "COMPLETE")])
async def test_the_incumbent_is_the_best_that_was_known_when_the_candidate_was_asked(
    window: int, state: str
) -> None:
    # With two in flight trial 2 is asked when only trial 0 is told, and it beats that.
    study = make_study([1.0], [1.5, 1.25], window)
    assert (await run(study, make_trials(study)[0]))[2][0] == state


async def test_a_candidate_that_is_answered_late_meets_the_incumbent_of_its_time() -> None:
    study = make_study([1.0], [1.5, 1.25], window=2)
    trials, _ = make_trials(study)
    study.ask()

    async def told(number: int) -> str:
        trial = study.trials[number]
        outcome = trials.outcome(trial, await trials.evaluate(trial))
        study.tell(number, outcome.values, outcome.attrs, state=outcome.state)
        return study.trials[number].state

    await told(0)
    study.ask()
    study.ask()
    # As after an interruption: trial 2 was asked before trial 1, which is better, was told.
    assert [await told(1), await told(2)] == ["COMPLETE", "COMPLETE"]


async def test_a_candidate_that_was_stopped_is_never_the_incumbent() -> None:
    study = make_study([1.0], [0.5, 0.75])
    found = await run(study, make_trials(study)[0])
    assert [state for state, *_ in found] == ["COMPLETE", "PRUNED", "PRUNED"]
    assert found[2][1] == round(MEAN + 0.75, 9)
    assert SCORES not in study.trials[1].attrs


async def test_the_scores_of_a_trial_are_kept_in_the_order_of_the_race_with_gaps() -> None:
    def rate(recipe: Recipe, question: Question) -> float | None:
        return None if question.question_id == IDS[1] else rating(recipe, question)

    study = make_study([0.5, 1.0], [1.5])
    await run(study, make_trials(study, rate)[0])
    for trial, weight in zip(study.trials, (0.5, 1.0, 1.5), strict=True):
        assert trial.attrs[SCORES] == [rate(SPACE.uniform(weight), question) for question in QUESTIONS]


async def test_a_trial_with_too_few_ratings_fails_and_says_why() -> None:
    def rate(recipe: Recipe, question: Question) -> float | None:
        return None if int(question.question_id) < 2 else rating(recipe, question)

    study = make_study([1.0, 0.5], [1.5])
    await run(study, make_trials(study, rate)[0])
    assert {t.state for t in study.trials} == {"FAIL"}
    assert study.trials[0].attrs[FAILURE].startswith("86% of the judgments gave a rating")
    assert study.trials[0].attrs["coverage"] == pytest.approx(12 / 14, abs=1e-6)


@pytest.mark.parametrize(("unrated", "state"), [(1, "PRUNED"), (2, "FAIL")])
async def test_one_question_without_a_rating_fails_no_trial_that_is_stopped_after_a_few(
    unrated: int, state: str
) -> None:
    """With one of five the minimum, 90%, cannot be measured; with two of five it is missed."""

    def rate(recipe: Recipe, question: Question) -> float | None:
        refused = recipe.weights["a"] < 1 and question.question_id in IDS[:unrated]
        return None if refused else rating(recipe, question)

    study = make_study([1.0, 0.0], [])
    trials, _ = make_trials(study, rate, replace(RULES, p=0.3))
    await search(study, 2, trials.evaluate, trials.outcome, lambda trial: None)
    assert (study.trials[1].state, study.trials[1].attrs["questions"]) == (state, 5)


def unrated(number: QuestionId, judge: str = "j", remedy: str = "") -> Unrated:
    return Unrated(number, 1, judge, "single-v1", "cut off" if remedy else "refused", remedy=remedy)


def outcome_with(judgments: Sequence[Judgment]) -> Outcome:
    trial = Trial(3, SPACE.uniform(1))
    rated = tuple((Answer(j.question_id, ("a",)), (j,)) for j in judgments)
    return make_trials(make_study([1.0], []))[0].outcome(trial, Evaluation(trial.recipe, rated))


def test_a_judge_that_rates_nothing_ends_the_search_with_the_cure() -> None:
    with pytest.raises(ProviderError, match=r"trial 3: judge j rated nothing; .* reason: cut off: do"):
        outcome_with([unrated(number, remedy="do this") for number in IDS])


def test_so_does_one_judge_of_a_panel() -> None:
    rated = [Rating(number, 1, 5.0, "other", "single-v1") for number in IDS]
    with pytest.raises(ProviderError, match="judge j rated nothing"):
        outcome_with([*rated, *(unrated(number, remedy="do this") for number in IDS)])


@pytest.mark.parametrize("given", [0, 1])
def test_where_the_answers_are_to_blame_or_something_is_rated_the_trial_fails(given: int) -> None:
    rated = [Rating(number, 1, 5.0, "j", "single-v1") for number in IDS[:given]]
    remedy = "do this" if given else ""
    outcome = outcome_with([*rated, *(unrated(number, remedy=remedy) for number in IDS[given:])])
    assert outcome.value is None
    assert "of the judgments gave a rating" in outcome.attrs[FAILURE]


PARTS = Objective((Part("low", frozenset(IDS[:7]), weight=3), Part("high", frozenset(IDS[7:]), weight=1)))


@pytest.mark.parametrize("several", [False, True])
async def test_several_benchmarks_are_told_as_one_score_or_as_one_each(several: bool) -> None:
    table = Table(lambda recipe, question: 4.0 if question.question_id in PARTS.parts[0].questions else 8.5)
    trials = Trials(
        make_study([1.0], []),
        Evaluator(table, table, Sampling()),
        PARTS,
        QUESTIONS,
        rules=None,
        min_coverage=0.9,
        several=several,
    )
    trial = Trial(0, SPACE.uniform(1))
    outcome = trials.outcome(trial, await trials.evaluate(trial))
    overall = 0.75 * 3 / 9 + 0.25 * 7.5 / 9
    assert outcome.attrs["parts"] == {"low": 4.0, "high": 8.5}
    assert outcome.values == ((4.0, 8.5) if several else (pytest.approx(overall),))
    assert outcome.attrs.get(OVERALL) == (pytest.approx(overall) if several else None)
    assert math.fsum(outcome.attrs[SCORES]) / len(IDS) == pytest.approx(overall)


async def outcome_of(unrated: int, *, stopped: bool) -> Outcome:
    """What is told of a candidate of whose answers to the last questions so many are not rated."""
    objective = Objective((Part("low", frozenset(IDS[:11])), Part("high", frozenset(IDS[11:]))))
    missing = IDS[len(IDS) - unrated :]

    def rate(recipe: Recipe, question: Question) -> float | None:
        return None if recipe.weights["a"] < 1 and question.question_id in missing else 5.0

    table, study = Table(rate), make_study([1.0], [0.5])
    evaluator = Evaluator(table, table, Sampling())
    trials = Trials(study, evaluator, objective, QUESTIONS, rules=None, min_coverage=0.5)
    await search(study, 1, trials.evaluate, trials.outcome, lambda trial: None)
    trial = Trial(1, SPACE.uniform(0.5))
    return trials.outcome(trial, replace(await trials.evaluate(trial), stopped=stopped))


@pytest.mark.parametrize(
    ("unrated", "why"), [(2, "high: 33% of the judgments"), (3, "high: 0% of the judgments")]
)
async def test_a_benchmark_that_is_not_rated_fails_a_trial_however_many_ratings_another_has(
    unrated: int, why: str
) -> None:
    """The first benchmark has 11 questions and all ratings, the second 3."""
    outcome = await outcome_of(unrated, stopped=False)
    assert outcome.value is None
    assert outcome.attrs[FAILURE].startswith(why)


@pytest.mark.parametrize(("unrated", "failed"), [(2, False), (3, True)])
async def test_in_a_race_a_benchmark_needs_some_rating(unrated: int, failed: bool) -> None:
    """What was asked of it may be a question or two, which are no measure of a share."""
    outcome = await outcome_of(unrated, stopped=True)
    assert (outcome.value is None) == failed
    assert outcome.stopped != failed


def test_a_trial_without_any_judgment_fails() -> None:
    trial = Trial(0, SPACE.uniform(1))
    outcome = make_trials(make_study([1.0], []))[0].outcome(trial, Evaluation(trial.recipe))
    assert outcome.value is None
    assert "nothing was judged" in outcome.attrs[FAILURE]


def test_a_candidate_that_is_no_model_fails_with_its_reason() -> None:
    trial = Trial(0, SPACE.uniform(1))
    evaluation = Evaluation(trial.recipe, failure="holds infinities")
    outcome = make_trials(make_study([1.0], []))[0].outcome(trial, evaluation)
    assert (outcome.value, outcome.attrs) == (None, {FAILURE: "holds infinities"})


def test_the_best_is_the_earliest_of_the_highest_scores_and_never_one_that_was_stopped() -> None:
    recipe = Recipe({"a": 1.0})
    trials = [
        Trial(0, recipe, 5.0, "COMPLETE"),
        Trial(1, recipe, 9.0, "PRUNED"),
        Trial(2, recipe, 7.0, "COMPLETE"),
        Trial(3, recipe, 7.0, "COMPLETE"),
        Trial(4, recipe, None, "FAIL"),
        Trial(5, recipe),
        Trial(6, recipe, 1.0, "COMPLETE", {OVERALL: 6.0}, (1.0, 11.0)),
    ]
    assert [trial.number for trial in ranked(trials)] == [2, 3, 6, 0]
    best = best_of(trials)
    assert best is not None
    assert best.number == 2
    assert best_of(trials[4:6]) is None
