"""The order in which all candidates meet the questions."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import example, given
from hypothesis import strategies as st

from tests.tasks.ratings import questions
from tvmerge.records import Question
from tvmerge.scoring.order import balanced_order

SIZES = st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), st.integers(1, 30), min_size=1)


def by_category(asked: list[Question], seed: int) -> tuple[Question, ...]:
    return balanced_order(asked, seed, lambda question: question.category)


@given(SIZES, st.integers(0, 5))
def test_every_question_is_asked_once(sizes: dict[str, int], seed: int) -> None:
    asked = questions(sizes)
    assert sorted(by_category(asked, seed), key=asked.index) == asked


@given(SIZES, st.integers(0, 5))
def test_every_beginning_holds_each_category_in_its_proportion(sizes: dict[str, int], seed: int) -> None:
    order = by_category(questions(sizes), seed)
    for end in range(1, len(order) + 1):
        seen = Counter(question.category for question in order[:end])
        for name, size in sizes.items():
            assert abs(seen[name] - size * end / len(order)) <= len(sizes) / 2 + 0.5


@given(SIZES, st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_that_of_the_file(sizes: dict[str, int], lots: random.Random) -> None:
    asked = questions(sizes)
    shuffled = lots.sample(asked, len(asked))
    assert by_category(shuffled, 3) == by_category(asked, 3)


def test_each_seed_has_an_order_of_its_own() -> None:
    asked = questions({"a": 20})
    assert len({by_category(asked, seed) for seed in range(10)}) == 10


def test_another_benchmark_does_not_reorder_a_benchmark_s_questions() -> None:
    asked = questions({"a": 12})
    more = [*asked, *(Question(f"b{number}", "b", ("?",)) for number in range(7))]
    both = by_category(more, 1)
    assert tuple(question for question in both if question.category == "a") == by_category(asked, 1)


@given(st.sampled_from([1, 2, 4, 8]), st.integers(1, 12), st.integers(0, 5))
def test_a_block_of_four_has_as_many_questions_of_each_category(kinds: int, size: int, seed: int) -> None:
    order = by_category(questions({f"c{n}": size for n in range(kinds)}), seed)
    for start in range(0, len(order) - 3, 4):
        seen = Counter(question.category for question in order[start : start + 4])
        assert set(seen.values()) == {max(1, 4 // kinds)}


@given(SIZES, st.integers(0, 5))
@example({"a": 1, "b": 1, "c": 1, "d": 24}, 0)
def test_blocks_have_each_category_nearly_in_its_proportion(sizes: dict[str, int], seed: int) -> None:
    order = by_category(questions(sizes), seed)
    for start in range(0, len(order) - 3, 4):
        seen = Counter(question.category for question in order[start : start + 4])
        for name, size in sizes.items():
            # Each stratum's count differs by at most 1 from what the length of the block in places says.
            share = size / len(order)
            most = 1 - share + share * (len(sizes) - 1)
            assert abs(seen[name] - 4 * share) <= most + 1e-9


def test_the_order_is_the_same_in_every_release() -> None:
    """A study that goes on asks what comes next."""
    asked = [Question(number, "ab"[number % 2], ("?",)) for number in range(1, 13)]
    asked += [Question(number, "c", ("?",)) for number in (100, 101, 102)]
    order = [question.question_id for question in by_category(asked, 3)]
    assert order == [3, 8, 102, 1, 6, 7, 12, 100, 9, 4, 11, 10, 101, 5, 2]
