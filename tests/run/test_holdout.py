"""The final comparison: who is chosen, on what, and what is claimed of it."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from tests.tables import Rate, Table
from tvmerge.errors import CredentialsError
from tvmerge.records import Estimate, Evaluation, Question, Recipe, Sampling, Trial
from tvmerge.run.holdout import Confirmation, ConfirmationResult, search_estimate
from tvmerge.run.loop import Evaluator
from tvmerge.scoring.objective import Objective, Part
from tvmerge.scoring.split import halve
from tvmerge.study.finalists import choose_baselines
from tvmerge.study.space import Space

SPACE = Space(("a", "b"), 0.0, 2.0)
SEARCHED = [Question(f"s{number}", "any", ("?",)) for number in range(4)]
HELD = [Question(f"h{number}", "any", ("?",)) for number in range(20)]
SELECTION, TEST = halve(HELD, 0)
OBJECTIVE = Objective((Part("one", frozenset(q.question_id for q in (*SEARCHED, *HELD))),))


def trial(number: int, a: float, score: float | None, *, b: float = 0.5, state: str = "COMPLETE") -> Trial:
    return Trial(number, Recipe({"a": a, "b": b}), score, state, {"n": 4, "se": 0.1})


FIRST, SECOND, THIRD = trial(2, 0.1, 9.0), trial(3, 0.2, 8.0), trial(4, 0.3, 7.0)
ZERO, ONE = (Trial(n, SPACE.uniform(n), 5.0 + n, "COMPLETE", {"n": 4, "se": 0.2}) for n in (0, 1))


class Bench:
    """A confirmation over known ratings, and what was asked of it."""

    def __init__(
        self, rate: Rate, min_coverage: float = 0.9, objective: Objective = OBJECTIVE, races: bool = True
    ) -> None:
        self.table = Table(rate)
        self.asked: list[tuple[float, int]] = []
        self.searched: list[Recipe] = []
        self.scored: list[tuple[str, Estimate]] = []
        self.steps: Callable[[Recipe], int] = lambda recipe: 0
        self._evaluator = Evaluator(self.table, self.table, Sampling())
        self._confirmation = Confirmation(
            self._evaluate,
            self._search,
            objective,
            [*SEARCHED, *(MANY if objective is LARGE else HELD)],
            on_scored=lambda candidate, found: self.scored.append((candidate.model, found)),
            min_coverage=min_coverage,
            races=races,
        )

    async def _evaluate(self, recipe: Recipe, questions: Sequence[Question]) -> Evaluation:
        self.asked.append((recipe.weights["a"], len(questions)))
        for _ in range(self.steps(recipe)):
            await asyncio.sleep(0)
        return await self._evaluator.evaluate(recipe, questions)

    async def _search(self, recipe: Recipe) -> Evaluation:
        self.searched.append(recipe)
        return await self._evaluator.evaluate(recipe, SEARCHED)

    async def run(
        self,
        finalists: Sequence[Trial],
        trials: Sequence[Trial] = (ZERO, ONE),
        held: Sequence[Question] = HELD,
    ) -> ConfirmationResult:
        baselines = choose_baselines(SPACE, trials)
        expected = self._confirmation.results(finalists, baselines, held, 0)
        before = len(self.scored)
        found = await self._confirmation.run(finalists, baselines, held, 0)
        assert len(self.scored) == before + expected
        return found


def noise(question: Question) -> float:
    """What a question adds, whoever answers it."""
    return int(str(question.question_id)[1:]) % 3 / 10


def by_split(selection: dict[float, float], test: dict[float, float]) -> Rate:
    """Ratings by the weight `a`, one on each half; 5 for all others, and a little by question."""

    def rate(recipe: Recipe, question: Question) -> float:
        scores = selection if question in SELECTION else test
        return scores.get(recipe.weights["a"], 5.0) + noise(question)

    return rate


async def test_the_winner_is_chosen_on_the_selection_split_and_reported_on_the_test_split() -> None:
    bench = Bench(by_split({0.1: 6.0, 0.2: 9.0, 0.3: 7.0}, {0.1: 9.0, 0.2: 6.0, 0.3: 9.5}))
    found = await bench.run([FIRST, SECOND, THIRD])
    best, zero, *_ = found.contenders
    assert (best.trial, best.key) == (3, "best")
    assert best.holdout is not None
    assert best.holdout.mean == pytest.approx(6.0 + sum(map(noise, TEST)) / len(TEST))
    assert best.holdout.n == len(TEST)
    assert zero.gain is not None
    assert zero.gain.difference == pytest.approx(1.0)
    assert [(f.trial, f.chosen and f.chosen.n) for f in found.finalists] == [(2, 10), (3, 10), (4, 10)]


async def test_no_answer_to_a_question_of_the_choice_is_part_of_what_is_reported() -> None:
    bench = Bench(by_split({0.2: 9.0}, {}))
    best = (await bench.run([FIRST, SECOND])).contenders[0]
    assert {sample.question for sample in best.samples} == set(TEST)
    assert sorted(bench.asked) == [(0.0, 10), (0.1, 10), (0.2, 10), (0.2, 10), (1.0, 10)]


@pytest.mark.parametrize("held", [1, 2, 5, 6, 11])
async def test_with_fewer_than_six_questions_a_split_the_best_of_the_search_wins(held: int) -> None:
    """And all held-out questions compare it, none of which had a part in the choice."""
    bench = Bench(lambda recipe, question: 9.0 if recipe.weights["a"] == 0.2 else 5.0)
    found = await bench.run([FIRST, SECOND], held=HELD[:held])
    best = found.contenders[0]
    assert best.trial == FIRST.number
    assert best.holdout is not None
    assert best.holdout.n == held
    assert [(f.trial, f.chosen) for f in found.finalists] == [(FIRST.number, None)]
    assert (0.2, held) not in bench.asked


async def test_with_twelve_questions_the_winner_is_chosen_on_six_of_them() -> None:
    bench = Bench(lambda recipe, question: 9.0 if recipe.weights["a"] == 0.2 else 5.0)
    found = await bench.run([FIRST, SECOND], held=HELD[:12])
    assert found.contenders[0].trial == SECOND.number
    assert found.finalists[1].chosen is not None
    assert found.finalists[1].chosen.n == 6


async def test_a_single_finalist_is_reported_on_all_held_out_questions() -> None:
    bench = Bench(by_split({}, {}))
    found = await bench.run([FIRST])
    assert found.contenders[0].holdout is not None
    assert found.contenders[0].holdout.n == len(HELD)
    assert [finalist.chosen for finalist in found.finalists] == [None]


@pytest.mark.parametrize("late", [0.0, 0.2, 1.0])
async def test_answers_are_logged_in_the_order_of_the_candidates_whoever_is_rated_first(late: float) -> None:
    at_once, delayed = Bench(by_split({}, {})), Bench(by_split({}, {}))
    delayed.steps = lambda recipe: round(1000 * abs(recipe.weights["a"] - late))
    found = [await bench.run([FIRST, SECOND, THIRD]) for bench in (at_once, delayed)]
    assert list(found[0].evaluations) == list(found[1].evaluations)


MANY = [Question(f"h{number}", f"kind {number % 3}", ("?",)) for number in range(80)]
LARGE = Objective((Part("one", frozenset(q.question_id for q in (*SEARCHED, *MANY))),))


def spread(recipe: Recipe, question: Question) -> float:
    """The second finalist is best, the third close behind, the first far behind."""
    own = random.Random(f"{recipe.weights['a']} {question.question_id}").gauss(0, 0.5)
    return {0.1: 5.0, 0.2: 8.0, 0.3: 7.95}.get(recipe.weights["a"], 4.0) + own


async def test_a_finalist_that_is_clearly_behind_stops_after_a_part_of_the_selection_split() -> None:
    bench = Bench(spread, objective=LARGE)
    found = await bench.run([FIRST, SECOND, THIRD], held=MANY)
    chosen = {f.trial: f.chosen.n for f in found.finalists if f.chosen is not None}
    assert chosen[FIRST.number] == 10
    assert chosen[SECOND.number] == chosen[THIRD.number] > 10
    best, zero, *_ = found.contenders
    assert best.trial in (SECOND.number, THIRD.number)
    assert zero.gain is not None
    assert zero.gain.n == 40
    told = [(model, estimate.n) for model, estimate in bench.scored]
    assert told[:3] == [("2", 10), ("3", chosen[3]), ("4", chosen[4])]
    assert len(told) == 3 + len(found.contenders)
    seen = {a.question_id for a in found.evaluations["2"].answers}
    kinds = [q.category for q in MANY if q.question_id in seen]
    assert sorted(kinds.count(kind) for kind in set(kinds)) == [3, 3, 4]


async def test_questions_of_the_choice_stay_apart_from_those_reported_if_finalists_race() -> None:
    bench = Bench(spread, objective=LARGE)
    best = (await bench.run([FIRST, SECOND, THIRD], held=MANY)).contenders[0]
    selection, test = halve(MANY, 0)
    assert [sample.question for sample in best.samples] == list(test)
    assert {s.question.question_id for s in best.samples}.isdisjoint(q.question_id for q in selection)


async def test_finalists_that_answer_alike_all_answer_the_whole_selection_split() -> None:
    bench = Bench(lambda recipe, question: 7.0, objective=LARGE)
    found = await bench.run([FIRST, SECOND, THIRD], held=MANY)
    assert {f.chosen.n for f in found.finalists if f.chosen is not None} == {40}
    assert found.contenders[0].trial == FIRST.number


async def test_without_races_every_finalist_answers_the_whole_selection_split_at_once() -> None:
    bench = Bench(spread, objective=LARGE, races=False)
    await bench.run([FIRST, SECOND, THIRD], held=MANY)
    assert sorted(bench.asked)[2:5] == [(0.2, 40), (0.2, 40), (0.3, 40)]


@pytest.mark.parametrize("rate", [by_split({}, {}), lambda recipe, question: None])
async def test_of_equals_and_without_ratings_the_best_of_the_search_wins(rate: Rate) -> None:
    found = await Bench(rate).run([FIRST, SECOND, THIRD])
    assert found.contenders[0].trial == FIRST.number


@pytest.mark.parametrize(
    ("rated", "min_coverage", "winner"),
    [(6, 0.9, FIRST), (6, 0.1, SECOND), (5, 0.1, FIRST), (1, 0.05, FIRST)],
)
async def test_a_finalist_with_too_few_ratings_is_not_chosen(
    rated: int, min_coverage: float, winner: Trial
) -> None:
    def rate(recipe: Recipe, question: Question) -> float | None:
        if recipe.weights["a"] == 0.2 and question in SELECTION[rated:]:
            return None
        return by_split({0.2: 9.9}, {})(recipe, question)

    found = await Bench(rate, min_coverage=min_coverage).run([FIRST, SECOND])
    assert found.contenders[0].trial == winner.number


async def test_where_no_finalist_has_enough_ratings_no_score_is_said_to_have_chosen() -> None:
    def rate(recipe: Recipe, question: Question) -> float | None:
        return None if question in SELECTION[5:] else by_split({0.2: 9.9}, {})(recipe, question)

    found = await Bench(rate, min_coverage=0.1).run([FIRST, SECOND])
    assert found.contenders[0].trial == FIRST.number
    assert [finalist.chosen for finalist in found.finalists] == [None, None]


async def test_nothing_is_claimed_against_a_baseline_with_too_few_ratings() -> None:
    def rate(recipe: Recipe, question: Question) -> float | None:
        return None if recipe.weights["a"] == 0.0 and question in TEST[2:] else 5.0

    _, zero, one, _ = (await Bench(rate).run([FIRST, SECOND])).contenders
    assert zero.gain is None
    assert "gave a rating" in zero.shortfall
    assert one.gain is not None
    assert not one.shortfall


SMALL = HELD[:4]
TWO = Objective(
    (
        Part("large", frozenset(q.question_id for q in (*SEARCHED, *HELD[4:]))),
        Part("small", frozenset(q.question_id for q in SMALL)),
    )
)


async def test_nothing_is_claimed_where_one_of_several_benchmarks_has_too_few_ratings() -> None:
    """Of all the baseline's answers in either split, at least 8 of 10 are rated."""

    def rate(recipe: Recipe, question: Question) -> float | None:
        return None if recipe.weights["a"] == 0 and question in SMALL else 5.0

    found = await Bench(rate, min_coverage=0.8, objective=TWO).run([FIRST, SECOND])
    zero, one = found.contenders[1:3]
    assert zero.gain is None
    assert zero.shortfall.startswith("small: 0% of the judgments gave a rating")
    assert one.gain is not None


async def test_each_of_several_benchmarks_is_in_both_splits() -> None:
    bench = Bench(lambda recipe, question: 5.0 + noise(question), objective=TWO)
    found = await bench.run([FIRST, SECOND])
    selection = {*bench.table.judged[:10]}
    assert len(selection & {q.question_id for q in SMALL}) == 2
    gain = found.contenders[1].gain
    assert gain is not None
    assert (gain.n, gain.difference) == (10, 0)
    assert gain.low < 0 < gain.high


async def test_without_held_out_questions_the_best_of_the_search_wins_and_nothing_is_claimed() -> None:
    bench = Bench(lambda recipe, question: 5.0)
    found = await bench.run([FIRST, SECOND], held=())
    best = found.contenders[0]
    assert best.trial == FIRST.number
    assert (best.holdout, best.gain, found.contenders[1].gain) == (None, None, None)
    assert best.search.mean == 9.0
    assert {sample.question for sample in best.samples} == set(SEARCHED)
    assert bench.asked == []
    answered = {key: [a.question_id for a in e.answers] for key, e in found.evaluations.items()}
    assert answered[str(best.trial)] == [question.question_id for question in SEARCHED]


async def test_without_held_out_questions_candidates_of_blocks_are_compared_on_all_search_questions() -> None:
    bench = Bench(lambda recipe, question: 4.0 + recipe.weights["a"])
    estimated, *finalists = (
        replace(t, attrs={**t.attrs, "mean": 9.5, "n": 2}) for t in (ZERO, FIRST, SECOND)
    )
    best, zero, one, _ = (await bench.run(finalists, [estimated, ONE], held=())).contenders
    assert (best.trial, round(best.search.mean, 9), best.search.n) == (FIRST.number, 4.1, len(SEARCHED))
    assert (zero.search.mean, zero.search.n) == (4.0, len(SEARCHED))
    assert one.search.mean == 6.0  # a trial that has answered all questions has its own score
    assert (await bench.run(finalists, [estimated, ONE])).contenders[0].search.mean == 9.5


async def test_who_is_finalist_and_baseline_at_once_is_asked_once() -> None:
    bench = Bench(lambda recipe, question: 5.0)
    best, zero, one, uniform = (await bench.run([ONE], [ZERO, ONE])).contenders
    assert (best.trial, one.trial, uniform.trial) == (1, 1, 1)
    assert sorted(bench.asked) == [(0.0, 20), (1.0, 20)]
    assert one.gain is not None
    assert (one.gain.difference, one.gain.low, one.gain.high) == (0, 0, 0)
    assert zero.trial == 0


async def test_a_baseline_outside_of_the_range_is_scored_on_the_questions_of_the_search_too() -> None:
    bench = Bench(lambda recipe, question: 4.0 if question in SEARCHED else 5.0)
    _, zero, one = (await bench.run([FIRST], [ONE])).contenders[:3]
    assert zero.trial is None
    assert zero.search.mean == 4.0
    assert bench.searched == [SPACE.uniform(0)]
    assert one.search.mean == 6.0


STOPPED = Trial(0, SPACE.uniform(0), 5.5, "PRUNED", {"n": 2})


async def test_a_baseline_that_was_stopped_has_the_estimate_of_its_score_and_all_held_out_answers() -> None:
    bench = Bench(lambda recipe, question: 4.0)
    zero = (await bench.run([FIRST], [STOPPED, ONE])).contenders[1]
    assert (zero.trial, zero.search.mean, zero.search.n) == (0, 5.5, 2)
    assert math.isnan(zero.search.se)
    assert zero.gain is not None
    assert zero.gain.n == len(HELD)
    assert bench.searched == []


async def test_without_held_out_questions_it_answers_the_rest_of_the_search() -> None:
    bench = Bench(lambda recipe, question: 4.0)
    zero = (await bench.run([FIRST], [STOPPED, ONE], held=())).contenders[1]
    assert (zero.trial, zero.search.mean, zero.search.n) == (0, 4.0, len(SEARCHED))


async def test_all_held_out_answers_are_kept_by_the_model_that_gave_them() -> None:
    bench = Bench(by_split({0.2: 9.0}, {}))
    kept = (await bench.run([FIRST, SECOND], [ONE])).evaluations
    assert {model: len(evaluation.answers) for model, evaluation in kept.items()} == {
        "2": 10,
        "3": 20,
        "weight_0": 10,
        "1": 10,
    }
    assert sorted({model for model, _ in bench.scored}) == sorted(kept)


async def test_a_failure_ends_the_comparison_at_once() -> None:
    stuck = asyncio.Event()

    async def evaluate(recipe: Recipe, questions: Sequence[Question]) -> Evaluation:
        if recipe.weights["a"] == 0.2:
            raise CredentialsError("the key was refused")
        await stuck.wait()
        return Evaluation(recipe)

    async def search(recipe: Recipe) -> Evaluation:
        return Evaluation(recipe)

    confirmation = Confirmation(
        evaluate, search, OBJECTIVE, HELD, on_scored=lambda candidate, found: None, min_coverage=0.9
    )
    with pytest.raises(CredentialsError):
        await confirmation.run([FIRST, SECOND], choose_baselines(SPACE, [ZERO]), HELD, 0)
    assert len(asyncio.all_tasks()) == 1


def test_what_a_trial_without_an_error_of_its_score_is_worth_is_told_without_one() -> None:
    found = search_estimate(Trial(0, Recipe({"a": 1.0}), 5.0, "COMPLETE", {"n": 1, "se": None}))
    assert (found.mean, found.n) == (5.0, 1)
    assert math.isnan(found.se)
