"""Numbers as people read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvmerge.records import Difference
from tvmerge.report import numbers


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_every_float_can_be_written_for_every_console(value: float) -> None:
    for text in (numbers.score(value), numbers.signed(value), numbers.plus_minus(value, value)):
        assert text.encode("cp932")
        assert "nan" not in text
        assert "inf" not in text


def test_a_rounded_zero_has_no_minus_sign() -> None:
    assert numbers.score(-0.001) == "0.00"
    assert numbers.signed(-0.001) == "+0.00"
    assert numbers.weight(-0.0) == "0"


def test_an_unknown_error_is_left_out() -> None:
    assert numbers.plus_minus(6.1, math.nan) == "6.10"
    assert numbers.plus_minus(6.1, None) == "6.10"
    assert numbers.plus_minus(None, None) == numbers.MISSING


def test_a_gain_without_bounds_says_so() -> None:
    assert numbers.gain(Difference(0.5, math.nan, math.nan, 1)) == "+0.50 no interval"
    assert numbers.gain(Difference(math.nan, math.nan, math.nan, 0)) == numbers.MISSING


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (3_599, "1 h"),
        (8_040, "2 h 14 min"),
        (86_390, "1 d"),
        (100_000, "1 d 3 h"),
    ],
)
def test_durations_have_the_units_that_matter(seconds: float, text: str) -> None:
    assert numbers.duration(seconds) == text


@pytest.mark.parametrize(
    ("n", "text"), [(0, "0 answers"), (1, "1 answer"), (2, "2 answers"), (1020, "1,020 answers")]
)
def test_counts_are_grouped_by_thousands(n: int, text: str) -> None:
    assert numbers.count(n, "answer") == text
