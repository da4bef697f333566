"""Means, standard errors and shares of ratings."""

from __future__ import annotations

import math
import random
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tasks.ratings import ratings, unscored
from tvmerge.records import Judgment, Question
from tvmerge.scoring.statistics import (
    by_category,
    by_turn,
    coverage,
    estimate,
    most_common_reason,
    shortfall,
)

RATING = st.integers(1, 10).map(float)
CLUSTERS = st.lists(st.lists(RATING, min_size=1, max_size=4), min_size=2, max_size=20)


@given(CLUSTERS)
def test_the_mean_pools_all_judgments(clusters: list[list[float]]) -> None:
    scores = [score for cluster in clusters for score in cluster]
    assert estimate(ratings(clusters)).mean == pytest.approx(statistics.fmean(scores))
    assert estimate(ratings(clusters)).n == len(clusters)


@given(st.lists(RATING, min_size=2, max_size=40))
def test_with_one_judgment_a_question_the_error_is_the_ordinary_one(scores: list[float]) -> None:
    expected = statistics.stdev(scores) / math.sqrt(len(scores))
    assert estimate(ratings([[score] for score in scores])).se == pytest.approx(expected)


@given(st.lists(RATING, min_size=2, max_size=20), st.integers(2, 4))
def test_repeating_a_questions_judgment_adds_no_certainty(scores: list[float], times: int) -> None:
    once = estimate(ratings([[score] for score in scores]))
    repeated = estimate(ratings([[score] * times for score in scores]))
    assert repeated.se == pytest.approx(once.se)
    assert repeated.n == once.n


@given(CLUSTERS)
def test_the_error_is_that_of_a_ratio_estimator(clusters: list[list[float]]) -> None:
    sums = np.array([sum(cluster) for cluster in clusters])
    counts = np.array([len(cluster) for cluster in clusters])
    residual = sums - sums.sum() / counts.sum() * counts
    n = len(clusters)
    expected = math.sqrt(residual.var(ddof=0) * n * n / (n - 1)) / counts.sum()
    assert estimate(ratings(clusters)).se == pytest.approx(expected, abs=1e-12)


@given(CLUSTERS, st.randoms(use_true_random=False))
def test_the_order_of_judgments_does_not_matter(clusters: list[list[float]], rng: random.Random) -> None:
    judgments = ratings(clusters)
    shuffled = judgments.copy()
    rng.shuffle(shuffled)
    assert estimate(shuffled) == estimate(judgments)


def test_a_judgment_without_a_rating_enters_no_mean() -> None:
    judgments = [*ratings([[4.0], [8.0]]), unscored(1, turn=2), unscored(7)]
    assert estimate(judgments) == estimate(ratings([[4.0], [8.0]]))
    assert coverage(judgments) == 0.5


def test_without_ratings_there_is_no_mean_and_no_coverage() -> None:
    empty = estimate([unscored(1)])
    assert math.isnan(empty.mean)
    assert math.isnan(empty.se)
    assert empty.n == 0
    assert coverage([unscored(1)]) == 0.0
    assert coverage([]) == 0.0


def test_one_question_has_a_mean_and_no_error() -> None:
    single = estimate(ratings([[4.0, 6.0]]))
    assert (single.mean, single.n) == (5.0, 1)
    assert math.isnan(single.se)


def test_turns_and_categories_have_estimates_of_their_own() -> None:
    judgments = [*ratings([[2.0, 4.0], [6.0, 8.0]]), unscored(0, turn=3)]
    questions = [Question(1, "math", ("?",)), Question(0, "art", ("?",)), Question(5, "none", ("?",))]
    assert {turn: item.mean for turn, item in by_turn(judgments).items()} == {1: 4.0, 2: 6.0}
    assert list(by_turn(reversed(judgments))) == [1, 2]
    assert {name: item.mean for name, item in by_category(judgments, questions).items()} == {
        "math": 7.0,
        "art": 3.0,
    }
    assert list(by_category(judgments, questions)) == ["math", "art"]
    assert list(by_category(judgments, questions[:1])) == ["math"]


def test_the_commonest_fault_is_the_first_of_equals_and_empty_without_one() -> None:
    faults = [unscored(n, reason=reason) for n, reason in enumerate(["cut off", "empty", "empty", "cut off"])]
    assert most_common_reason([*ratings([[5]]), *faults]) == "cut off"
    assert most_common_reason([*faults, unscored(9, reason="empty")]) == "empty"
    assert most_common_reason(ratings([[5, 6]])) == ""


def test_too_few_ratings_are_a_shortfall_that_says_why() -> None:
    judgments = [*ratings([[5, 6]]), unscored(1), unscored(2)]
    assert shortfall(judgments, 0.5) == ""
    assert (
        shortfall(judgments, 0.51) == "50% of the judgments gave a rating; the most common reason: no rating"
    )


@pytest.mark.parametrize(("judgments", "reason"), [([], "nothing was judged"), ([unscored(1)], "no rating")])
def test_no_rating_at_all_is_always_a_shortfall(judgments: list[Judgment], reason: str) -> None:
    assert shortfall(judgments, 0) == f"0% of the judgments gave a rating; the most common reason: {reason}"
