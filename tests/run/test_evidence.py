"""How differences between candidates vary is read from the trials of either kind of search."""

from __future__ import annotations

import random
import statistics

import pytest

from tvmerge.records import Recipe, Trial
from tvmerge.run.evidence import paired_sd, scores_of
from tvmerge.run.trial import SCORES
from tvmerge.study.blocks.table import BLOCKS, Ask

QUESTIONS = [f"q{number}" for number in range(40)]


def rated(number: int, seed: int, sd: float = 1.5) -> list[float | None]:
    """Scores of questions that vary by 3 for all candidates, and by `sd` for each."""
    own, ease = random.Random(f"{seed} {number}"), random.Random(9)
    return [5 + ease.gauss(0, 3) + own.gauss(0, sd) for _ in QUESTIONS]


def whole(number: int, scores: list[float | None]) -> Trial:
    return Trial(number, Recipe({"a": float(number)}), 5.0, "COMPLETE", {SCORES: scores})


def in_blocks(number: int, scores: list[float | None], *starts: int) -> Trial:
    rows = [
        Ask(place, number, start, start + 4, tuple(scores[start : start + 4])).row
        for place, start in enumerate(starts)
    ]
    return Trial(number, Recipe({"a": float(number)}), 5.0, "PRUNED", {BLOCKS: rows})


def test_it_is_that_of_the_differences_and_not_that_of_the_scores() -> None:
    found = paired_sd([whole(n, rated(n, 1)) for n in range(8)], QUESTIONS)
    assert found == pytest.approx(1.5 * 2**0.5, rel=0.1)


def test_candidates_of_blocks_are_paired_on_the_questions_that_both_answered() -> None:
    told = [in_blocks(n, rated(n, 2), *range(0, 40, 4)) for n in range(4)]
    some = [in_blocks(n, rated(n, 2), 4 * (n % 10)) for n in range(4, 30)]
    found = paired_sd([*told, *some], QUESTIONS)
    assert found == pytest.approx(1.5 * 2**0.5, rel=0.15)


def test_two_trials_have_the_standard_deviation_of_their_differences() -> None:
    first, second = rated(0, 3), rated(1, 3)
    first[5] = None
    gaps = [a - b for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    assert paired_sd([whole(0, first), whole(1, second)], QUESTIONS) == pytest.approx(statistics.stdev(gaps))


def test_too_little_is_not_believed() -> None:
    assert paired_sd([], QUESTIONS) is None
    assert paired_sd([whole(0, rated(0, 4))], QUESTIONS) is None
    few: list[float | None] = [5.0, 6.0, 7.0]
    assert paired_sd([whole(0, few), whole(1, [*reversed(few)])], QUESTIONS) is None
    assert paired_sd([whole(n, [5.0] * 40) for n in range(3)], QUESTIONS) is None


def test_a_trial_s_scores_are_by_question_and_those_without_a_rating_left_out() -> None:
    assert scores_of(whole(0, [1.0, None, 3.0]), QUESTIONS) == {"q0": 1.0, "q2": 3.0}
    scores: list[float | None] = [*rated(0, 5)]
    scores[9] = None
    found = scores_of(in_blocks(0, scores, 8), QUESTIONS)
    assert set(found) == {"q8", "q10", "q11"}
    assert scores_of(Trial(0, Recipe({"a": 1.0}), None, "FAIL", {}), QUESTIONS) == {}
