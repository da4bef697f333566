"""How far judges agree, with each other and with themselves."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvmerge.judging.agreement import agreement
from tvmerge.records import Answer, Judgment, Rating, Unrated

ANSWER = Answer("q", ("青です。", "光が散乱するからです。"))
OTHER = Answer("q", ("赤です。", "夕方だからです。"))


def verdict(score: float, judge: str = "a", *, turn: int = 1, sample: int = 0, note: str = "") -> Rating:
    return Rating("q", turn, score, judge, "single-v1", sample=sample, note=note)


def numbered(index: int, *judgments: Judgment) -> tuple[Answer, tuple[Judgment, ...]]:
    """A separate answer text, with its judgments."""
    return Answer("q", (str(index),)), judgments


def test_agreement_is_krippendorffs_alpha() -> None:
    # Krippendorff's own example of two observers: units (1,1) (2,2) (3,3) (3,4) (1,1) by hand.
    units = [(1, 1), (2, 2), (3, 3), (3, 4), (1, 1)]
    values = [score for pair in units for score in pair]
    observed = sum((a - b) ** 2 + (b - a) ** 2 for a, b in units) / 10
    expected = sum((a - b) ** 2 for a in values for b in values) / (10 * 9)
    found = agreement(numbered(n, verdict(a, "a"), verdict(b, "b")) for n, (a, b) in enumerate(units))
    assert found is not None
    assert found.alpha == pytest.approx(1 - observed / expected)
    assert (found.units, found.difference) == (5, 0.2)


def test_answers_of_different_candidates_are_not_mixed_up() -> None:
    found = agreement(
        [(ANSWER, [verdict(2, "a"), verdict(2, "b")]), (OTHER, [verdict(9, "a"), verdict(9, "b")])]
    )
    assert found is not None
    assert (found.units, found.alpha) == (2, 1.0)


def together(score: float, judge: str, *, turn: int = 1, sample: int = 0) -> Rating:
    return Rating("q", turn, score, judge, "single-v1-all-turns", sample=sample)


def test_a_turn_rated_with_the_later_ones_is_the_same_only_in_the_same_conversation() -> None:
    other = replace(ANSWER, turns=(ANSWER.turns[0], "知りません。"))
    found = agreement([(ANSWER, [together(9, "a")]), (other, [together(1, "a", sample=1)])])
    assert found is None


def test_a_judge_of_all_turns_is_compared_with_one_that_rates_them_one_by_one() -> None:
    found = agreement([(ANSWER, [together(9, "a"), verdict(7, "b")])])
    assert found is not None
    assert (found.units, found.difference) == (1, 2)


def test_several_answers_to_a_question_are_no_repeated_rating() -> None:
    assert agreement([(ANSWER, [verdict(9)]), (OTHER, [verdict(1)])]) is None


def test_the_second_turn_is_rated_with_the_first_before_it() -> None:
    same_end = Answer("q", (OTHER.turns[0], ANSWER.turns[1]))
    assert agreement([(ANSWER, [verdict(9, turn=2)]), (same_end, [verdict(1, turn=2)])]) is None


def test_a_model_under_two_names_counts_once() -> None:
    rated = (ANSWER, [verdict(4), verdict(6, sample=1)])
    other = (OTHER, [verdict(7), verdict(7, sample=1)])
    once = agreement([rated, other])
    assert once is not None
    assert once.noise == pytest.approx(1.0)
    assert agreement([rated, other, rated, rated]) == once


def test_the_same_answer_drawn_again_is_rated_once() -> None:
    again = Answer("q", ANSWER.turns, sample=1)
    assert agreement([(ANSWER, [verdict(4)]), (again, [verdict(4)])]) is None


def test_samples_of_a_judge_count_as_one_rating() -> None:
    found = agreement(
        [(ANSWER, [verdict(4, "a"), verdict(6, "a", sample=1), verdict(5, "b"), verdict(1, "b", turn=2)])]
    )
    assert found is not None
    assert (found.units, found.difference) == (1, 0.0)
    assert math.isnan(found.alpha)
    assert found.noise == pytest.approx(math.sqrt(2))


def test_one_judge_agrees_with_nobody() -> None:
    assert agreement([(ANSWER, [verdict(4, "a"), Unrated("q", 1, "b", "p", "empty reply")])]) is None


def test_a_score_that_no_judge_gave_is_no_agreement() -> None:
    empty = Answer("q", ("",))
    floors = [verdict(1, judge, sample=n, note="empty answer") for judge in "ab" for n in range(2)]
    assert agreement([(empty, floors)]) is None


def test_the_noise_of_a_judge_is_pooled_over_turns() -> None:
    found = agreement(
        [(ANSWER, [verdict(4), verdict(6, sample=1), verdict(7, turn=2), verdict(7, turn=2, sample=1)])]
    )
    assert found is not None
    assert found.as_json() == {"units": 0, "mean_difference": None, "alpha": None, "noise": 1.0}


@given(st.lists(st.tuples(st.integers(1, 10), st.integers(1, 10)), min_size=2, max_size=20))
def test_alpha_is_one_only_for_full_agreement(pairs: list[tuple[int, int]]) -> None:
    found = agreement(numbered(n, verdict(a, "a"), verdict(b, "b")) for n, (a, b) in enumerate(pairs))
    assert found is not None
    if len({score for pair in pairs for score in pair}) == 1:
        assert math.isnan(found.alpha)
    else:
        assert (found.alpha == 1.0) == all(a == b for a, b in pairs)
        assert found.alpha <= 1.0
