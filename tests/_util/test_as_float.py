"""Numbers of any size become floats."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from tvmerge._util.as_float import as_float


@pytest.mark.parametrize(
    ("number", "found"),
    [(3, 3.0), (10**399, math.inf), (-(10**399), -math.inf), (Fraction(-(10**399)), -math.inf), ("2.5", 2.5)],
    ids=["small", "large", "low", "fraction", "text"],
)
def test_what_is_too_large_is_infinite(number: object, found: float) -> None:
    assert as_float(number) == found
