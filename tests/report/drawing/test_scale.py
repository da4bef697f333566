"""Scales and ticks."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvmerge.report.drawing.scale import Scale, apart, padded, thinned, tick_labels, ticks

_FINITE = st.floats(-1e6, 1e6)


def test_a_scale_may_run_upwards_on_the_page() -> None:
    y = Scale(0, 10, 200, 0)
    assert [y(0), y(5), y(10)] == [200, 100, 0]


@given(st.lists(_FINITE, min_size=1))
def test_padded_bounds_hold_every_value_and_differ(values: list[float]) -> None:
    low, high = padded(values)
    assert low < min(values)
    assert high > max(values)


def test_no_value_still_gives_an_axis() -> None:
    assert padded([]) == (0.0, 1.0)


@given(_FINITE, st.floats(1e-3, 1e6))
def test_ticks_lie_inside_are_few_and_have_labels_of_their_own(low: float, span: float) -> None:
    found = ticks(low, low + span)
    assert 1 <= len(found) <= 8
    slack = 1e-6 * span
    assert all(low - slack <= value <= low + span + slack for value in found)
    assert len(set(tick_labels(found))) == len(found)


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0, 2, ["0.0", "0.5", "1.0", "1.5", "2.0"]),
        (4.1, 7.9, ["5", "6", "7"]),
        (-1, 1, ["-1.0", "-0.5", "0.0", "0.5", "1.0"]),
        (0, 0.02, ["0.000", "0.005", "0.010", "0.015", "0.020"]),
    ],
)
def test_ticks_are_round(low: float, high: float, labels: list[str]) -> None:
    assert tick_labels(ticks(low, high)) == labels


def test_whole_ticks_have_no_fractions() -> None:
    assert ticks(0, 3, 10, whole=True) == [0, 1, 2, 3]
    assert ticks(0, 499, 10, whole=True) == [50 * n for n in range(10)]


@pytest.mark.parametrize("n", [0, 1, 35, 36, 37, 582])
def test_thinned_places_start_at_the_first_and_are_few(n: int) -> None:
    places = thinned(n, 36)
    assert len(places) <= 36
    assert list(places[:1]) == [0] * min(n, 1)


@given(st.lists(st.floats(0, 300), max_size=6))
def test_labels_keep_apart_and_inside(places: list[float]) -> None:
    moved = apart(places, 15, 0, 300)
    assert all(-1e-9 <= place <= 300 + 1e-9 for place in moved)
    close = sorted(moved)
    assert all(b - a >= 15 - 1e-9 for a, b in pairwise(close))


def test_labels_that_are_apart_stay_where_they_are() -> None:
    assert apart([100, 50, 200], 15, 0, 300) == [100, 50, 200]
