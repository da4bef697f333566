"""How many questions a comparison needs, and how little a few of them are believed."""

from __future__ import annotations

import math
import random

import pytest

from tvmerge._util.evidence import FEWEST_QUESTIONS, POWER, least_sd, questions_needed, student_quantile


def test_the_fewest_questions_are_those_with_which_a_sign_test_can_find_a_difference() -> None:
    assert 2 / 2 ** (FEWEST_QUESTIONS - 1) > 0.05 >= 2 / 2**FEWEST_QUESTIONS


def test_what_few_questions_seem_to_vary_by_is_believed_less_the_fewer_they_are() -> None:
    assert [round(least_sd(9, n), 2) for n in (2, 10, 40, 120)] == [4.5, 2.25, 0.78, 0.29]
    assert least_sd(1.0, 10) == pytest.approx(least_sd(9.0, 10) / 9)


@pytest.mark.parametrize(("gain", "sd"), [(0.5, 2.0), (0.5, 1.0), (1.0, 2.0), (0.5, 0.2)])
def test_a_gain_is_seen_as_often_as_said_with_the_questions_needed(gain: float, sd: float) -> None:
    n, draw, seen = questions_needed(gain, sd, 9.0), random.Random(1), 0
    for _ in range(2000):
        gaps = [draw.gauss(gain, sd) for _ in range(n)]
        mean = math.fsum(gaps) / n
        spread = math.sqrt(math.fsum((gap - mean) ** 2 for gap in gaps) / (n - 1))
        half = student_quantile(0.95, n - 1) * max(spread, least_sd(9.0, n)) / math.sqrt(n)
        seen += mean > half
    # If questions hardly vary, the bound decides, and one question more decides it for all runs.
    most = POWER + 0.05 if sd > least_sd(9.0, n) else 1.0
    assert POWER - 0.05 <= seen / 2000 <= most


def test_the_questions_needed_grow_with_what_differences_vary_by() -> None:
    assert questions_needed(0.5, 2.0, 9.0) == 128
    assert questions_needed(5.0, 0.1, 9.0) >= FEWEST_QUESTIONS
    assert (
        questions_needed(0.5, 1.0, 9.0) < questions_needed(0.5, 1.5, 9.0) < questions_needed(0.25, 1.5, 9.0)
    )
    assert questions_needed(0.5 / 9, 2.0 / 9, 1.0) == questions_needed(0.5, 2.0, 9.0)
