"""Means, standard errors and intervals."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvmerge.evaluation.statistics import (
    by_category,
    by_turn,
    commonest_fault,
    coverage,
    estimate,
    paired_interval,
    shortfall,
)
from tvmerge.records import Judgment, Question, Unscored, Verdict

RATING = st.integers(1, 10).map(float)
CLUSTERS = st.lists(st.lists(RATING, min_size=1, max_size=4), min_size=2, max_size=20)


def verdicts(clusters: Sequence[Sequence[float]]) -> list[Judgment]:
    """One question a cluster, its scores as its turns."""
    return [
        Verdict(question_id, turn, score, "j", "p")
        for question_id, scores in enumerate(clusters)
        for turn, score in enumerate(scores, start=1)
    ]


def unscored(question_id: int, turn: int = 1, reason: str = "no rating") -> Judgment:
    return Unscored(question_id, turn, "j", "p", reason)


@given(CLUSTERS)
def test_the_mean_pools_all_judgments(clusters: list[list[float]]) -> None:
    scores = [score for cluster in clusters for score in cluster]
    assert estimate(verdicts(clusters)).mean == pytest.approx(statistics.fmean(scores))
    assert estimate(verdicts(clusters)).n == len(clusters)


@given(st.lists(RATING, min_size=2, max_size=40))
def test_with_one_judgment_a_question_the_error_is_the_ordinary_one(scores: list[float]) -> None:
    expected = statistics.stdev(scores) / math.sqrt(len(scores))
    assert estimate(verdicts([[score] for score in scores])).se == pytest.approx(expected)


@given(st.lists(RATING, min_size=2, max_size=20), st.integers(2, 4))
def test_repeating_a_questions_judgment_adds_no_certainty(scores: list[float], times: int) -> None:
    once = estimate(verdicts([[score] for score in scores]))
    repeated = estimate(verdicts([[score] * times for score in scores]))
    assert repeated.se == pytest.approx(once.se)
    assert repeated.n == once.n


@given(CLUSTERS)
def test_the_error_is_that_of_a_ratio_estimator(clusters: list[list[float]]) -> None:
    sums = np.array([sum(cluster) for cluster in clusters])
    counts = np.array([len(cluster) for cluster in clusters])
    residual = sums - sums.sum() / counts.sum() * counts
    n = len(clusters)
    expected = math.sqrt(residual.var(ddof=0) * n * n / (n - 1)) / counts.sum()
    assert estimate(verdicts(clusters)).se == pytest.approx(expected, abs=1e-12)


@given(CLUSTERS, st.randoms(use_true_random=False))
def test_the_order_of_judgments_does_not_matter(clusters: list[list[float]], rng: random.Random) -> None:
    judgments = verdicts(clusters)
    shuffled = judgments.copy()
    rng.shuffle(shuffled)
    assert estimate(shuffled) == estimate(judgments)
    assert paired_interval(shuffled, judgments, resamples=50) == paired_interval(
        judgments, shuffled, resamples=50
    )


def test_a_judgment_without_a_rating_enters_no_mean() -> None:
    judgments = [*verdicts([[4.0], [8.0]]), unscored(1, turn=2), unscored(7)]
    assert estimate(judgments) == estimate(verdicts([[4.0], [8.0]]))
    assert coverage(judgments) == 0.5


def test_without_verdicts_there_is_no_mean_and_no_coverage() -> None:
    empty = estimate([unscored(1)])
    assert math.isnan(empty.mean)
    assert math.isnan(empty.se)
    assert empty.n == 0
    assert coverage([unscored(1)]) == 0.0
    assert coverage([]) == 0.0


def test_one_question_has_a_mean_and_no_error() -> None:
    single = estimate(verdicts([[4.0, 6.0]]))
    assert (single.mean, single.n) == (5.0, 1)
    assert math.isnan(single.se)


def test_turns_and_categories_have_estimates_of_their_own() -> None:
    judgments = [*verdicts([[2.0, 4.0], [6.0, 8.0]]), unscored(0, turn=3)]
    questions = [Question(1, "math", ("?",)), Question(0, "art", ("?",)), Question(5, "none", ("?",))]
    assert {turn: item.mean for turn, item in by_turn(judgments).items()} == {1: 4.0, 2: 6.0}
    assert list(by_turn(reversed(judgments))) == [1, 2]
    assert {name: item.mean for name, item in by_category(judgments, questions).items()} == {
        "math": 7.0,
        "art": 3.0,
    }
    assert list(by_category(judgments, questions)) == ["math", "art"]
    assert list(by_category(judgments, questions[:1])) == ["math"]


def test_a_difference_takes_the_questions_both_have_a_verdict_of() -> None:
    a = verdicts([[5.0], [7.0], [9.0]])
    b = [*verdicts([[1.0], [5.0]]), unscored(2), *[Verdict(9, 1, 10.0, "j", "p")]]
    found = paired_interval(a, b)
    assert found.difference == 6.0 - 3.0
    assert found.n == 2


def test_a_constant_difference_is_certain_however_hard_the_questions_vary() -> None:
    base = [[float(score), float(score)] for score in range(1, 9)]
    better = [[score + 1.5 for score in cluster] for cluster in base]
    found = paired_interval(verdicts(better), verdicts(base))
    assert (found.difference, found.low, found.high, found.n) == pytest.approx((1.5, 1.5, 1.5, 8))


@given(CLUSTERS)
def test_swapping_the_candidates_mirrors_the_interval(clusters: list[list[float]]) -> None:
    a = verdicts(clusters)
    b = verdicts([[11 - score for score in reversed(cluster)] for cluster in clusters])
    there, back = paired_interval(a, b, resamples=200), paired_interval(b, a, resamples=200)
    assert (back.difference, back.low, back.high) == pytest.approx(
        (-there.difference, -there.high, -there.low), abs=1e-9
    )
    assert there.low <= there.high


def test_an_interval_is_the_same_every_time_and_depends_on_its_seed() -> None:
    rng = np.random.default_rng(1)
    a, b = (verdicts([[float(x)] for x in rng.integers(1, 11, 30)]) for _ in range(2))
    assert paired_interval(a, b) == paired_interval(a, b)
    assert paired_interval(a, b, seed=1) != paired_interval(a, b)


def test_a_higher_level_gives_a_wider_interval() -> None:
    rng = np.random.default_rng(2)
    a, b = (verdicts([[float(x)] for x in rng.integers(1, 11, 30)]) for _ in range(2))
    narrow, wide = paired_interval(a, b, level=0.8), paired_interval(a, b, level=0.99)
    assert wide.low < narrow.low < narrow.difference < narrow.high < wide.high


def test_too_few_questions_give_no_interval() -> None:
    none = paired_interval(verdicts([[1.0]]), [unscored(0)])
    assert none.n == 0
    assert math.isnan(none.difference)
    one = paired_interval(verdicts([[5.0]]), verdicts([[4.0]]))
    assert (one.difference, one.n) == (1.0, 1)
    assert math.isnan(one.low)
    assert math.isnan(one.high)


def test_large_samples_agree_with_the_normal_interval() -> None:
    rng = np.random.default_rng(3)
    changes = rng.normal(0.4, 1.0, 400)
    found = paired_interval(verdicts([[5 + x] for x in changes]), verdicts([[5.0]] * 400))
    half = 1.96 * changes.std(ddof=1) / 20
    assert (found.low, found.high) == pytest.approx((changes.mean() - half, changes.mean() + half), abs=0.01)


def test_more_questions_than_fit_one_chunk_are_resampled_in_several(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    a, b = (verdicts([[float(x)] for x in rng.integers(1, 11, 25)]) for _ in range(2))
    whole = paired_interval(a, b, resamples=1000)
    monkeypatch.setattr("tvmerge.evaluation.statistics._CHUNK", 25 * 7)
    assert paired_interval(a, b, resamples=1000) == pytest.approx(whole)


@pytest.mark.parametrize(("n", "least"), [(8, 0.90), (60, 0.92)])
def test_intervals_cover_the_truth_as_often_as_they_say(n: int, least: float) -> None:
    """Two-turn questions of varying difficulty, ratings rounded to whole numbers as judges give them."""
    rng = np.random.default_rng(5)
    rounds, hits = 400, 0
    truth = _true_difference()
    for seed in range(rounds):
        a, b = _simulate(rng, n)
        found = paired_interval(verdicts(a.tolist()), verdicts(b.tolist()), seed=seed, resamples=400)
        hits += found.low <= truth <= found.high
    assert least <= hits / rounds <= 0.99


def _simulate(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    difficulty = rng.normal(5.5, 1.5, (n, 1))
    gain = rng.normal(0.5, 1.0, (n, 1))
    noise = rng.normal(0.0, 1.0, (2, n, 2))
    a, b = difficulty + gain + noise[0], difficulty + noise[1]
    return np.clip(np.rint(a), 1, 10), np.clip(np.rint(b), 1, 10)


def _true_difference() -> float:
    a, b = _simulate(np.random.default_rng(6), 400_000)
    return float(a.mean() - b.mean())


def test_the_commonest_fault_is_the_first_of_equals_and_empty_without_one() -> None:
    faults = [unscored(n, reason=reason) for n, reason in enumerate(["cut off", "empty", "empty", "cut off"])]
    assert commonest_fault([*verdicts([[5]]), *faults]) == "cut off"
    assert commonest_fault([*faults, unscored(9, reason="empty")]) == "empty"
    assert commonest_fault(verdicts([[5, 6]])) == ""


def test_too_few_ratings_are_a_shortfall_that_says_why() -> None:
    judgments = [*verdicts([[5, 6]]), unscored(1), unscored(2)]
    assert shortfall(judgments, 0.5) == ""
    assert shortfall(judgments, 0.51) == "50% of the judgments gave a rating; the commonest reason: no rating"


@pytest.mark.parametrize(("judgments", "reason"), [([], "nothing was judged"), ([unscored(1)], "no rating")])
def test_no_rating_at_all_is_always_a_shortfall(judgments: list[Judgment], reason: str) -> None:
    assert shortfall(judgments, 0) == f"0% of the judgments gave a rating; the commonest reason: {reason}"
