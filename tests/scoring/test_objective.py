"""What a search maximises: one benchmark on its own scale, several on one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tasks.ratings import judgments
from tvmerge.records import Judgment, Question, QuestionId, Rating
from tvmerge.scoring.intervals import paired_interval
from tvmerge.scoring.objective import Objective, Part
from tvmerge.scoring.split import halve
from tvmerge.scoring.statistics import estimate

LONG, SHORT = frozenset({1, 2, 3, 4}), frozenset({5, 6})
QUESTIONS = [Question(number, "any", ("a", "b")) for number in (1, 5, 2, 3, 6, 4)]
ONE = Objective((Part("one", LONG | SHORT),))
TWO = Objective((Part("long", LONG, weight=3), Part("short", SHORT, weight=1, floor=0, ceiling=100)))

CHAT = st.lists(st.integers(1, 10), min_size=2, max_size=2)
EXACT = st.lists(st.integers(0, 100), min_size=2, max_size=2)
RATINGS: Callable[..., st.SearchStrategy[dict[QuestionId, list[float]]]] = st.fixed_dictionaries
CANDIDATE = RATINGS({**dict.fromkeys(sorted(LONG), CHAT), **dict.fromkeys(sorted(SHORT), EXACT)})


@given(CANDIDATE, CANDIDATE)
def test_one_benchmark_keeps_its_scale(
    first: dict[QuestionId, list[float]], second: dict[QuestionId, list[float]]
) -> None:
    a, b = judgments(first), judgments(second)
    assert ONE.estimate(a) == estimate(a)
    assert ONE.difference(a, b) == paired_interval(a, b)
    assert ONE.by_part(a) == {"one": estimate(a)}


def test_several_benchmarks_are_scaled_to_0_and_1_and_weighted() -> None:
    found = TWO.estimate(
        judgments({1: [10, 10], 2: [1, 1], 3: [5.5, 5.5], 4: [5.5, 5.5], 5: [100, 0], 6: [30, 70]})
    )
    assert TWO.shares == (0.75, 0.25)
    assert found.mean == pytest.approx(0.75 * 0.5 + 0.25 * 0.5)
    assert found.n == 6


@given(CANDIDATE)
def test_the_error_of_a_weighted_mean_is_that_of_a_sum_of_independent_parts(
    ratings: dict[QuestionId, list[float]],
) -> None:
    parts = TWO.by_part(judgments(ratings))
    long, short = parts["long"], parts["short"]
    expected = math.sqrt((0.75 / 9 * long.se) ** 2 + (0.25 / 100 * short.se) ** 2)
    assert TWO.estimate(judgments(ratings)).se == pytest.approx(expected)


@pytest.mark.parametrize("objective", [ONE, TWO])
@given(ratings=CANDIDATE)
def test_what_the_questions_add_averages_to_the_score(
    objective: Objective, ratings: dict[QuestionId, list[float]]
) -> None:
    found = judgments(ratings)
    added = objective.contributions(found, QUESTIONS)
    assert math.fsum(added.values()) / len(QUESTIONS) == pytest.approx(objective.estimate(found).mean)


def test_a_question_adds_the_mean_of_its_ratings_and_nothing_where_it_has_none() -> None:
    found = judgments({1: [4, None], 2: [None, None], 5: [7, 9]})
    assert ONE.contributions(found, QUESTIONS) == {1: 4, 5: 8}


def test_few_questions_of_a_heavy_benchmark_count_as_much_as_its_weight_says() -> None:
    objective = Objective((Part("many", LONG), Part("few", SHORT)))
    best = judgments({key: [10.0] for key in (*LONG, *SHORT)})
    added = objective.contributions(best, QUESTIONS)
    assert sum(added[key] for key in LONG) == pytest.approx(sum(added[key] for key in SHORT))


@given(CANDIDATE, CANDIDATE)
def test_the_difference_of_two_candidates_is_that_of_their_scores(
    first: dict[QuestionId, list[float]], second: dict[QuestionId, list[float]]
) -> None:
    a, b = judgments(first), judgments(second)
    found = TWO.difference(a, b)
    assert found.difference == pytest.approx(TWO.estimate(a).mean - TWO.estimate(b).mean)
    assert found.low <= found.difference + 1e-9
    assert found.high >= found.difference - 1e-9


def test_a_benchmark_without_any_rating_leaves_no_score() -> None:
    found = judgments({1: [4], 5: [None]})
    assert math.isnan(TWO.estimate(found).mean)
    assert math.isnan(TWO.difference(found, found).difference)


def best(judgments: Sequence[Judgment]) -> float:
    """An aggregation that is no mean."""
    return max(judgment.score for judgment in judgments if isinstance(judgment, Rating))


def test_the_difference_on_a_part_that_is_no_mean_is_that_of_its_scores() -> None:
    whole = Part("whole", LONG, floor=0, ceiling=10, aggregate=best, resamples=200)
    a, b = judgments({1: [2], 2: [9], 3: [1], 4: [1]}), judgments({1: [4], 2: [4], 3: [5], 4: [4]})
    alone = Objective((whole,)).difference(a, b)
    assert alone.difference == 9 - 5
    assert alone.low < 0 < alone.high
    beside = Objective((whole, Part("short", SHORT)))
    a, b = [*a, *judgments({5: [3], 6: [7]})], [*b, *judgments({5: [3], 6: [6]})]
    expected = beside.estimate(a).mean - beside.estimate(b).mean
    assert beside.difference(a, b).difference == pytest.approx(expected)


def test_a_part_that_is_always_rated_hides_no_other_that_is_not() -> None:
    found = judgments({1: [4] * 100, 2: [4] * 100, 5: [7], 6: [None]})
    assert TWO.shortfall(found, 0.5) == ""
    assert TWO.shortfall(found, 0.9) == (
        "short: 50% of the judgments gave a rating; the most common reason: no rating"
    )
    assert ONE.shortfall(found, 0.9) == ""


def test_a_single_benchmark_s_shortfall_needs_no_name() -> None:
    found = judgments({1: [4], 2: [None]})
    assert (
        ONE.shortfall(found, 0.9) == "50% of the judgments gave a rating; the most common reason: no rating"
    )


def test_a_part_of_which_nothing_was_asked_is_no_shortfall_but_nothing_at_all_is() -> None:
    assert TWO.shortfall(judgments({1: [4]}), 1.0) == ""
    assert (
        TWO.shortfall([], 0.0)
        == "0% of the judgments gave a rating; the most common reason: nothing was judged"
    )


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 3))
def test_each_part_s_held_out_questions_are_divided_evenly_unless_they_are_too_few(
    long: int, short: int, seed: int
) -> None:
    held = [Question(n, "any", ("?",)) for n in range(long + short)]
    parts = (Part("long", frozenset(range(long))), Part("short", frozenset(range(long, long + short))))
    chosen, reported = Objective(parts).halve(held, seed)
    assert sorted((*chosen, *reported), key=held.index) == held
    if not chosen:
        assert min(long, short) < 4 or long // 2 + short // 2 < 6
        return
    for part in parts:
        sizes = [sum(q.question_id in part.questions for q in half) for half in (chosen, reported)]
        assert sizes == [len(part.questions) // 2, -(-len(part.questions) // 2)]


def test_a_benchmark_counts_from_its_first_question_on() -> None:
    assert TWO.all_parts_within(QUESTIONS) == 2
    assert TWO.all_parts_within([QUESTIONS[0], *QUESTIONS[2:]]) == 4
    assert TWO.all_parts_within(QUESTIONS[2:4]) == 1
    assert ONE.all_parts_within(QUESTIONS) == 1


def test_a_single_benchmark_of_twelve_questions_is_divided_and_a_smaller_one_is_not() -> None:
    held = [Question(n, "any", ("?",)) for n in range(12)]
    one = Objective((Part("one", frozenset(range(12))),))
    assert one.halve(held, 3) == halve(held, 3)
    assert one.halve(held[:11], 3) == ((), tuple(held[:11]))


def test_questions_without_a_score_of_their_own_count_in_the_whole_and_add_nothing() -> None:
    whole = Objective((Part("whole", LONG, aggregate=lambda found: float(len(found)), resamples=0),))
    found = judgments({1: [math.nan], 2: [math.nan], 3: [5]})
    assert (whole.estimate(found).mean, whole.estimate(found).n) == (3.0, 3)
    assert whole.contributions(found, QUESTIONS) == {3: 5}
    assert whole.lacking(found) == ""
    gap = whole.difference(found, found)
    assert gap.difference == 0
    assert math.isnan(gap.low)


def test_a_score_that_is_no_number_is_told_from_no_rating_at_all() -> None:
    broken = Part("broken", LONG, aggregate=lambda _: math.nan)
    assert Objective((broken,)).lacking(judgments({1: [1]})) == "its score is no number"
    both = Objective((broken, Part("short", SHORT)))
    assert both.lacking(judgments({1: [1], 5: [1]})) == "broken: its score is no number"
    assert TWO.lacking(judgments({1: [1]})) == "short: nothing has a rating"


def test_a_few_resamples_without_a_score_leave_an_interval_and_many_do_not() -> None:
    def lowest(found: Sequence[Judgment]) -> float:
        """The mean of the rare kind, with ratings below 0; a resample may lack it."""
        rare = [j.score for j in found if isinstance(j, Rating) and j.score < 0]
        return sum(rare) / len(rare) if rare else math.nan

    def interval(rare: int) -> float:
        ids = frozenset(range(30))
        part = Part("rare", ids, aggregate=lowest, resamples=300)
        ratings: list[dict[QuestionId, list[float]]] = [
            {n: [float(n + shift if n >= rare else -n - shift)] for n in ids} for shift in (1, 2)
        ]
        return Objective((part,)).difference(*(judgments(found) for found in ratings)).low

    assert math.isnan(interval(1))
    assert math.isfinite(interval(6))


@pytest.mark.parametrize(("weight", "uneven"), [(3, False), (1, False), (0.5, True)])
def test_a_question_of_a_part_may_count_three_times_as_much_as_one_of_another(
    weight: float, uneven: bool
) -> None:
    long = Part("long", LONG, weight=weight)
    both = Objective((long, Part("short", SHORT)))
    found = both.asked_unevenly(QUESTIONS)
    assert (found is not None) == uneven
    if found is not None:
        assert [part.name for part in found] == ["short", "long"]
    assert both.asked_unevenly([one for one in QUESTIONS if one.question_id in LONG]) is None
    assert ONE.asked_unevenly(QUESTIONS) is None
