"""Waves: how many questions a candidate gets at once."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tvmerge.engines.waves import doubling


def sizes(count: int, first: int, most: int | None = None) -> list[int]:
    return [len(wave) for wave in doubling(range(count), first, most)]


def test_each_wave_is_as_large_as_all_before_it() -> None:
    assert sizes(120, 8) == [8, 8, 16, 32, 56]
    assert sizes(120, 8, 24) == [8, 8, 16, 24, 24, 24, 16]
    assert sizes(5, 8) == [5]
    assert sizes(9, 4, 2) == [4, 4, 1]
    assert sizes(0, 8) == []


@given(st.integers(0, 300), st.integers(1, 50), st.none() | st.integers(1, 100))
def test_waves_keep_the_order_and_ask_at_most_twice_what_a_test_after_any_wave_needs(
    count: int, first: int, most: int | None
) -> None:
    waves = doubling(range(count), first, most)
    assert [item for wave in waves for item in wave] == list(range(count))
    ends = [wave[-1] + 1 for wave in waves]
    assert all(end % first == 0 for end in ends[:-1])
    assert all(later <= 2 * max(end, first) for end, later in pairwise(ends))
