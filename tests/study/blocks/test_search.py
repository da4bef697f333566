"""How questions are divided into blocks."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvmerge.study.blocks.search import LEAST, blocks_of


@pytest.mark.parametrize(
    ("questions", "size", "sizes"),
    [
        (120, 4, [4] * 30),
        (22, 4, [4, 4, 4, 4, 6]),
        (5, 4, [5]),
        (7, 4, [7]),
        (34, 16, [16, 18]),
        (60, 16, [16, 16, 16, 12]),
        (34, 32, [34]),
        (66, 64, [66]),
        (7, 2, [2, 2, 3]),
        (1, 1, [1]),
    ],
)
def test_a_small_rest_is_part_of_the_last_block(questions: int, size: int, sizes: list[int]) -> None:
    assert [len(block) for block in blocks_of(questions, size)] == sizes


@given(st.integers(1, 300), st.integers(1, 300))
def test_all_questions_are_in_one_block_each(questions: int, size: int) -> None:
    size = min(size, questions)
    blocks = blocks_of(questions, size)
    assert list(itertools.chain(*blocks)) == list(range(questions))
    *others, last = (len(block) for block in blocks)
    assert set(others) <= {size}
    assert min(size, LEAST) <= last
    assert size / 2 <= last < size + max(size / 2, LEAST)
