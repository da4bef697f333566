"""Which answers a second judge rates."""

from __future__ import annotations

import pytest

from tvmerge.judging.judges.anchored import sample
from tvmerge.records import Recipe


def chosen(seed: int, weight: float, fraction: float, questions: int = 4000) -> set[int]:
    holds = sample(seed, Recipe({"layers.0": weight, "norm": 1.0}), fraction)
    return {question for question in range(questions) if holds(question)}


@pytest.mark.parametrize("fraction", [0.02, 0.1, 0.5])
def test_the_sample_has_its_fraction(fraction: float) -> None:
    expected = 4000 * fraction
    assert abs(len(chosen(0, 0.5, fraction)) - expected) < 4 * expected**0.5


def test_it_depends_on_seed_candidate_and_question_alone() -> None:
    first = chosen(0, 0.5, 0.1)
    assert chosen(0, 0.5, 0.1) == first
    assert chosen(0, 0.5, 0.1, questions=100) == {question for question in first if question < 100}
    for other in (chosen(1, 0.5, 0.1), chosen(0, 0.51, 0.1)):
        assert len(first & other) < 0.3 * len(first)


def test_a_larger_fraction_contains_the_smaller() -> None:
    assert chosen(0, 0.5, 0.1) < chosen(0, 0.5, 0.3)


def test_a_weight_read_from_a_table_counts_as_the_one_that_was_chosen() -> None:
    assert chosen(0, 0.1 + 0.2, 0.1) == chosen(0, 0.3, 0.1)
