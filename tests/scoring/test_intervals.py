"""Intervals of differences: what they cover, and what they say of few questions."""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tasks.ratings import ratings, unscored
from tvmerge.records import Judgment, Rating
from tvmerge.scoring.intervals import Stratum, paired_interval, weighted_interval

RATING = st.integers(1, 10).map(float)
CLUSTERS = st.lists(st.lists(RATING, min_size=1, max_size=4), min_size=2, max_size=20)


@given(CLUSTERS, st.randoms(use_true_random=False))
def test_the_order_of_judgments_does_not_matter(clusters: list[list[float]], rng: random.Random) -> None:
    judgments = ratings(clusters)
    shuffled = judgments.copy()
    rng.shuffle(shuffled)
    assert paired_interval(shuffled, judgments, resamples=50) == paired_interval(
        judgments, shuffled, resamples=50
    )


def test_a_difference_takes_the_questions_both_have_a_rating_of() -> None:
    a = ratings([[5.0], [7.0], [9.0]])
    b = [*ratings([[1.0], [5.0]]), unscored(2), *[Rating(9, 1, 10.0, "j", "p")]]
    found = paired_interval(a, b)
    assert found.difference == 6.0 - 3.0
    assert found.n == 2


@pytest.mark.parametrize("n", [2, 3, 5, 8, 20])
def test_the_same_difference_on_all_of_a_few_questions_is_not_certain(n: int) -> None:
    base = [[1.0 + number % 8] * 2 for number in range(n)]
    better = [[score + 1.5 for score in cluster] for cluster in base]
    found = paired_interval(ratings(better), ratings(base))
    assert (found.difference, found.n) == pytest.approx((1.5, n))
    assert found.low < 1.5 - 0.5 < 1.5 + 0.5 < found.high
    assert found.low >= -9
    assert found.high <= 9


def test_the_interval_of_two_questions_is_as_wide_as_the_scale() -> None:
    found = paired_interval(ratings([[5.0], [7.0]]), ratings([[4.5], [6.5]]))
    assert (found.difference, found.low, found.high) == (0.5, -9.0, 9.0)
    unit = paired_interval(ratings([[0.5], [0.7]]), ratings([[0.4], [0.6]]), span=1.0)
    assert (unit.low, unit.high) == (-1.0, 1.0)


def test_intervals_of_a_constant_difference_narrow_with_more_questions() -> None:
    widths = [
        found.high - found.low
        for n in (3, 6, 12, 24, 48, 96)
        for found in (paired_interval(ratings([[6.0]] * n), ratings([[5.0]] * n)),)
    ]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 10
    assert widths[-1] < 0.2


@given(CLUSTERS)
def test_swapping_the_candidates_mirrors_the_interval(clusters: list[list[float]]) -> None:
    a = ratings(clusters)
    b = ratings([[11 - score for score in reversed(cluster)] for cluster in clusters])
    there, back = paired_interval(a, b, resamples=200), paired_interval(b, a, resamples=200)
    assert (back.difference, back.low, back.high) == pytest.approx(
        (-there.difference, -there.high, -there.low), abs=1e-9
    )
    assert there.low <= there.high


def test_an_interval_is_the_same_every_time_and_depends_on_its_seed() -> None:
    rng = np.random.default_rng(1)
    a, b = (ratings([[float(x)] for x in rng.integers(1, 11, 30)]) for _ in range(2))
    assert paired_interval(a, b) == paired_interval(a, b)
    assert paired_interval(a, b, seed=1) != paired_interval(a, b)


def test_a_higher_level_gives_a_wider_interval() -> None:
    rng = np.random.default_rng(2)
    a, b = (ratings([[float(x)] for x in rng.integers(1, 11, 30)]) for _ in range(2))
    narrow, wide = paired_interval(a, b, level=0.8), paired_interval(a, b, level=0.99)
    assert wide.low < narrow.low < narrow.difference < narrow.high < wide.high


def test_too_few_questions_give_no_interval() -> None:
    none = paired_interval(ratings([[1.0]]), [unscored(0)])
    assert none.n == 0
    assert math.isnan(none.difference)
    one = paired_interval(ratings([[5.0]]), ratings([[4.0]]))
    assert (one.difference, one.n) == (1.0, 1)
    assert math.isnan(one.low)
    assert math.isnan(one.high)


def test_large_samples_agree_with_the_normal_interval() -> None:
    rng = np.random.default_rng(3)
    changes = rng.normal(0.4, 1.0, 400)
    found = paired_interval(ratings([[5 + x] for x in changes]), ratings([[5.0]] * 400))
    half = 1.96 * changes.std(ddof=1) / 20
    assert (found.low, found.high) == pytest.approx((changes.mean() - half, changes.mean() + half), abs=0.01)


def test_more_questions_than_fit_one_chunk_are_resampled_in_several(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    a, b = (ratings([[float(x)] for x in rng.integers(1, 11, 25)]) for _ in range(2))
    whole = paired_interval(a, b, resamples=1000)
    monkeypatch.setattr("tvmerge.scoring.intervals.CHUNK", 25 * 7)
    assert paired_interval(a, b, resamples=1000) == pytest.approx(whole)


@pytest.mark.parametrize(("n", "most"), [(8, 1.0), (60, 0.99)])
def test_intervals_cover_the_truth_as_often_as_they_say(n: int, most: float) -> None:
    """Two-turn questions of varying difficulty, ratings rounded to whole numbers as judges give them.

    Those of few questions allow for rare failures too, which these ratings do not have.
    """
    rng = np.random.default_rng(5)
    rounds, hits = 400, 0
    truth = _true_difference()
    for seed in range(rounds):
        a, b = _simulate(rng, n)
        found = paired_interval(ratings(a.tolist()), ratings(b.tolist()), seed=seed, resamples=400)
        hits += found.low <= truth <= found.high
    assert 0.93 <= hits / rounds <= most


def _simulate(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    difficulty = rng.normal(5.5, 1.5, (n, 1))
    gain = rng.normal(0.5, 1.0, (n, 1))
    noise = rng.normal(0.0, 1.0, (2, n, 2))
    a, b = difficulty + gain + noise[0], difficulty + noise[1]
    return np.clip(np.rint(a), 1, 10), np.clip(np.rint(b), 1, 10)


def _true_difference() -> float:
    a, b = _simulate(np.random.default_rng(6), 400_000)
    return float(a.mean() - b.mean())


def drawn(rng: np.random.Generator, n: int, weight: float = 1.0) -> Stratum:
    """A stratum whose true difference is 0.5."""
    easiness, gain = rng.normal(5.0, 1.0, n), rng.normal(0.5, 1.5, n)
    first, second = easiness + gain, easiness
    return Stratum(weight, ratings(first[:, None].tolist()), ratings(second[:, None].tolist()))


@pytest.mark.parametrize(("sizes", "least"), [((200, 3), 0.93), ((40, 10, 5), 0.93), ((8, 8), 0.93)])
def test_intervals_over_strata_cover_the_truth_as_often_as_they_say(
    sizes: Sequence[int], least: float
) -> None:
    """A pooled number of degrees of freedom covers 0.75 of the cases with 200 questions and 3."""
    rng = np.random.default_rng(7)
    rounds, hits = 300, 0
    for seed in range(rounds):
        strata = [drawn(rng, n, 1 / len(sizes)) for n in sizes]
        found = weighted_interval(strata, seed=seed, resamples=400)
        hits += found.low <= 0.5 <= found.high
    assert least <= hits / rounds <= 1


def test_a_small_stratum_that_weighs_little_leaves_the_interval_as_it_is() -> None:
    rng = np.random.default_rng(8)
    large, small = drawn(rng, 60), drawn(rng, 3)
    alone = weighted_interval([large])
    both = weighted_interval([large, Stratum(1e-6, small.first, small.second)])
    assert (both.low, both.high) == pytest.approx((alone.low, alone.high), abs=0.01)
    assert both.n == 63


def test_a_stratum_of_one_question_leaves_a_difference_without_bounds() -> None:
    """How its questions vary is not known, however many the others have."""
    large = drawn(np.random.default_rng(9), 30)
    single = Stratum(1.0, ratings([[6.0]]), ratings([[4.0]]))
    found = weighted_interval([large, single])
    assert found.difference == pytest.approx(weighted_interval([large]).difference + 2.0)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_small_strata_that_differ_everywhere_alike_have_a_wide_interval() -> None:
    rise = Stratum(0.5, ratings([[5.0], [7.0], [9.0]]), ratings([[4.0], [6.0], [8.0]]))
    found = weighted_interval([rise, rise])
    assert found.difference == pytest.approx(1.0)
    assert found.low < -3 < 5 < found.high


def test_a_stratum_without_a_common_question_leaves_no_difference() -> None:
    empty = Stratum(1.0, ratings([[6.0]]), [unscored(0)])
    assert math.isnan(weighted_interval([drawn(np.random.default_rng(1), 9), empty]).difference)


def correlation(judgments: Sequence[Judgment]) -> float:
    """Of the scores with the questions' numbers, which no mean over questions is."""
    pairs = [(int(j.question_id), j.score) for j in judgments if isinstance(j, Rating)]
    return float(np.corrcoef(np.array(pairs).T)[0, 1])


def test_a_score_that_is_no_mean_has_the_interval_of_its_own_difference() -> None:
    """Both candidates have the same mean: of means, the difference would be 0."""
    rng = np.random.default_rng(10)
    noise = rng.normal(0, 4, (2, 40))
    rising = np.arange(40.0) + noise[0]
    falling = np.arange(40.0)[::-1] + noise[1]
    falling += rising.mean() - falling.mean()
    first, second = (ratings(side[:, None].tolist()) for side in (rising, falling))
    found = weighted_interval([Stratum(1.0, first, second, correlation, 2.0)], resamples=500)
    assert found.difference == pytest.approx(correlation(first) - correlation(second))
    assert 1.5 < found.low < found.difference < found.high < 2.0
    assert paired_interval(first, second).difference == pytest.approx(0.0)


def test_a_mean_as_an_aggregate_has_the_interval_of_the_mean() -> None:
    whole = drawn(np.random.default_rng(11), 25)

    def mean(judgments: Sequence[Judgment]) -> float:
        return math.fsum(j.score for j in judgments if isinstance(j, Rating)) / len(judgments)

    found = weighted_interval([Stratum(1.0, whole.first, whole.second, mean)], resamples=300)
    expected = weighted_interval([whole], resamples=300)
    assert (found.difference, found.low, found.high) == pytest.approx(
        (expected.difference, expected.low, expected.high)
    )


def test_an_aggregate_that_cannot_score_a_resample_leaves_a_difference_without_bounds() -> None:
    """Of 3 questions, every ninth resample is one question three times: a correlation has no value there."""

    def strict(judgments: Sequence[Judgment]) -> float:
        if len({judgment.question_id for judgment in judgments}) == 1:
            raise ValueError("one question")
        return len(judgments)

    side = ratings([[1.0], [2.0], [3.0]])
    found = weighted_interval([Stratum(1.0, side, side, strict)], resamples=200)
    assert found.difference == 0
    assert math.isnan(found.low)


def test_warnings_about_resamples_are_not_shown() -> None:
    side = ratings([[1.0], [2.0]])
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        found = weighted_interval([Stratum(1.0, side, side, correlation)], resamples=20)
    assert math.isnan(found.low)  # so there were resamples of one question, of which numpy warns
    assert shown == []


def test_the_interval_of_a_small_and_a_large_stratum_is_the_same_in_every_release() -> None:
    """A verdict must not change when a report is made again."""
    few = Stratum(0.5, ratings([[7.0], [9.0], [4.0]]), ratings([[5.0], [8.0], [5.0]]))
    many = Stratum(
        0.5,
        ratings([[float(1 + number % 9)] for number in range(20)]),
        ratings([[float(1 + 7 * number % 10)] for number in range(20)]),
    )
    found = weighted_interval([few, many], resamples=500)
    assert found.n == 23
    assert (found.low, found.high) == pytest.approx((-4.540071847282434, 4.356738513949102))


def test_a_score_that_is_no_mean_is_of_the_questions_both_have_a_rating_of() -> None:
    both = ratings([[1.0], [3.0], [2.0], [5.0], [4.0], [6.0]])
    more = [*both, Rating(99, 1, -50.0, "j", "p")]
    found = weighted_interval([Stratum(1.0, more, both, correlation, 2.0)], resamples=50)
    assert (found.difference, found.n) == (0.0, 6)
