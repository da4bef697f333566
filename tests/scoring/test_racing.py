"""Races: when a candidate is stopped, and what it would have scored."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import optuna
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from optuna.pruners import WilcoxonPruner
from optuna.trial import TrialState, create_trial
from scipy.stats import rankdata

from tvmerge.scoring.racing import RacingRules, projected_score, should_prune, signed_rank_p

RATING = st.integers(1, 10)
PAIR = st.tuples(RATING, RATING)
# From 7 to 13 pairs scipy goes through all permutations, which takes a while.
RACE = st.lists(PAIR, min_size=2, max_size=6) | st.lists(PAIR, min_size=14, max_size=40)


def test_looks_come_a_batch_apart_from_the_minimum_on_and_never_at_the_end() -> None:
    assert RacingRules(p=0.1, minimum=20, batch=10).interim_checks(60) == (20, 30, 40, 50)
    assert RacingRules(p=0.1, minimum=20, batch=10).interim_checks(61) == (20, 30, 40, 50, 60)
    assert RacingRules(p=0.1, minimum=20, batch=10).interim_checks(20) == ()


@given(st.integers(1, 50), st.integers(1, 20), st.integers(0, 200))
def test_a_wave_divides_every_interim_check_and_none_comes_too_early(
    minimum: int, batch: int, questions: int
) -> None:
    interim_checks = RacingRules(p=0.1, minimum=minimum, batch=batch).interim_checks(questions)
    assert all(n % batch == 0 and minimum <= n < questions for n in interim_checks)
    assert not interim_checks or interim_checks[0] < minimum + batch


def exact_p(differences: Sequence[float]) -> float:
    """Share of all ways to sign the ranks that give as small a sum of positive ranks."""
    ranks = rankdata(np.abs(differences))
    observed = ranks[np.asarray(differences) > 0].sum()
    signs = itertools.product((0, 1), repeat=len(ranks))
    return float(np.mean([np.dot(ranks, sign) <= observed for sign in signs]))


@given(st.lists(st.integers(-50, 50).filter(bool), min_size=1, max_size=10, unique_by=abs))
def test_the_p_value_is_the_share_of_sign_patterns_as_extreme(differences: list[float]) -> None:
    assert signed_rank_p(differences) == pytest.approx(exact_p(differences))


def test_equal_candidates_are_no_evidence() -> None:
    assert signed_rank_p([0.0] * 30) == 1.0
    assert not should_prune([5.0] * 30, [5.0] * 30, 0.999)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@given(RACE)
def test_a_race_is_lost_where_optuna_s_pruner_stops_a_trial(pairs: list[tuple[int, int]]) -> None:
    study = optuna.create_study(direction="maximize")
    best = {step: float(score) for step, (_, score) in enumerate(pairs)}
    study.add_trial(create_trial(value=sum(best.values()) / len(best), intermediate_values=best))
    running = create_trial(
        state=TrialState.RUNNING,
        intermediate_values={step: float(score) for step, (score, _) in enumerate(pairs)},
    )
    ours = should_prune([score for score, _ in pairs], [best for _, best in pairs], 0.1)
    assert ours == WilcoxonPruner(p_threshold=0.1).prune(study, running)


def test_who_is_worse_in_most_questions_but_better_on_average_is_not_stopped() -> None:
    incumbent = [5.0] * 20
    candidate = [*[4.0] * 17, *[14.0] * 3]
    assert signed_rank_p([a - b for a, b in zip(candidate, incumbent, strict=True)]) < 0.1
    assert not should_prune(candidate, incumbent, 0.1)


@given(RACE, st.data())
def test_questions_without_a_rating_on_either_side_do_not_count(
    pairs: list[tuple[int, int]], data: st.DataObject
) -> None:
    holes = data.draw(st.lists(st.integers(0, 2), min_size=len(pairs), max_size=len(pairs)))
    candidate = [None if hole == 1 else float(a) for (a, _), hole in zip(pairs, holes, strict=True)]
    incumbent = [None if hole == 2 else float(b) for (_, b), hole in zip(pairs, holes, strict=True)]
    assume(not 6 < len(pairs) - sum(map(bool, holes)) < 14)
    rest = [pair for pair, hole in zip(pairs, holes, strict=True) if not hole]
    assert should_prune(candidate, incumbent, 0.3) == should_prune(
        [a for a, _ in rest], [b for _, b in rest], 0.3
    )


def test_a_candidate_is_compared_up_to_where_it_has_come() -> None:
    incumbent = [*[9.0] * 20, *[1.0] * 100]
    assert should_prune([8.0] * 20, incumbent, 0.1)
    assert projected_score([8.0] * 20, incumbent, 3.5) == 2.5


@given(
    st.lists(RATING, min_size=2, max_size=40),
    st.floats(-5, 5),
    st.data(),
)
def test_a_candidate_that_differs_everywhere_alike_is_told_what_it_would_have_scored(
    incumbent: list[float], difference: float, data: st.DataObject
) -> None:
    end = data.draw(st.integers(1, len(incumbent)))
    value = sum(incumbent) / len(incumbent)
    candidate = [score + difference for score in incumbent]
    assert projected_score(candidate[:end], incumbent, value) == pytest.approx(value + difference)


@given(RACE)
def test_a_candidate_that_has_answered_everything_is_told_its_own_score(pairs: list[tuple[int, int]]) -> None:
    candidate, incumbent = [a for a, _ in pairs], [b for _, b in pairs]
    value = sum(incumbent) / len(incumbent)
    assert projected_score(candidate, incumbent, value) == pytest.approx(sum(candidate) / len(candidate))


def test_differences_that_are_equal_but_for_rounding_errors_are_ties() -> None:
    """Thirds of a panel of three judges, and shares of a weighted mean: 0.1 + 0.2 is not 0.3 there."""
    candidate = [0.1 + 0.2, *[0.3] * 19]
    assert not should_prune(candidate, [0.3] * 20, 0.999)
    rated = [(a, b) for a in range(3, 31) for b in (a + 1, a + 2)][:20]
    p = signed_rank_p([float(a - b) for a, b in rated])
    thirds, best = [a / 3 for a, _ in rated], [b / 3 for _, b in rated]
    assert not should_prune(thirds, best, p)
    assert should_prune(thirds, best, p * 1.000001)


@pytest.mark.parametrize("differences", [[-8, 1, -7, 2, -6, 3, -5, 4], [-2, -2, 1, -3, 2, -1]])
def test_few_pairs_are_tested_exactly_with_ties_or_without(differences: list[float]) -> None:
    assert signed_rank_p(differences) == exact_p(differences)


def test_up_to_fifty_pairs_without_ties_are_tested_exactly() -> None:
    """All differences negative but the smallest: 2 of 2^50 patterns of signs are as extreme."""
    assert signed_rank_p([1, *range(-50, -1)]) == pytest.approx(2 / 2**50)


def test_many_pairs_with_ties_are_tested_by_the_normal_approximation() -> None:
    ranks = {0.0: 3.0, 1.0: 10.5, -1.0: 10.5, -2.0: 18.0}
    differences = [-2.0, -1.0, 1.0, 0.0] * 5
    positive = 5 * ranks[1.0] + 5 * ranks[0.0] / 2
    variance = sum(ranks[one] ** 2 for one in differences) / 4
    expected = NormalDist(20 * 21 / 4, variance**0.5).cdf(positive)
    assert signed_rank_p(differences) == pytest.approx(expected)
