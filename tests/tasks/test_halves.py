"""Dividing held-out questions: those the winner is chosen on, and those it is reported on.

Several modules: the tasks and `tvmerge.scoring.split`.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tests.tasks.ratings import questions
from tvmerge.records import Question
from tvmerge.scoring.split import halve

SIZES = st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), st.integers(1, 30), min_size=1)


@given(SIZES, st.integers(0, 5))
def test_every_question_lands_in_one_half_in_the_file_s_order(sizes: dict[str, int], seed: int) -> None:
    held = questions(sizes)
    chosen, reported = halve(held, seed)
    assert sorted([*chosen, *reported], key=held.index) == held
    for half in (chosen, reported):
        assert list(half) == sorted(half, key=held.index)


@given(SIZES, st.integers(0, 5))
def test_the_halves_and_each_category_of_them_are_even(sizes: dict[str, int], seed: int) -> None:
    chosen, reported = halve(questions(sizes), seed)
    assert 0 <= len(reported) - len(chosen) <= 1
    counts = [Counter(question.category for question in half) for half in (chosen, reported)]
    assert all(abs(counts[0][name] - counts[1][name]) <= 1 for name in sizes)


def test_a_single_question_is_for_the_report() -> None:
    held = (Question(1, "a", ("?",)),)
    assert halve(held, 0) == ((), held)
    assert halve((), 0) == ((), ())


def test_each_seed_divides_anew() -> None:
    held = questions({"a": 40})
    assert len({halve(held, seed) for seed in range(10)}) == 10
