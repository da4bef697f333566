"""Converts numbers of any size."""

from __future__ import annotations

import math
from typing import Any


def as_float(number: Any) -> float:
    """Return `float(number)`, which is infinite where Python finds it too large.

    Raises:
        TypeError, ValueError: It is no number.
    """
    try:
        return float(number)
    except OverflowError:  # a whole number of hundreds of digits
        return math.inf if number > 0 else -math.inf
