"""Maps values to positions and places ticks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear map from values to user units.

    Attributes:
        low: The value at `start`.
        high: The value at `end`; differs from `low`.
        start: Where the axis starts, in user units.
        end: Where it ends; may be smaller than `start`.
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the position of `value`."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def padded(values: Iterable[float], share: float = 0.06, *, least: float = 0.1) -> tuple[float, float]:
    """Return bounds that contain all `values` with a margin; (0, 1) without a value.

    Args:
        values: The values.
        share: Margin on either side, as a fraction of the span.
        least: Minimum span.
    """
    known = list(values)
    if not known:
        return 0.0, 1.0
    low, high = min(known), max(known)
    room = max((high - low) * share, (least - (high - low)) / 2)
    return low - room, high + room


def ticks(low: float, high: float, about: int = 5, *, whole: bool = False) -> list[float]:
    """Return round values in [`low`, `high`], in steps of 1, 2 or 5 times a power of 10.

    Args:
        low: Lower bound.
        high: Upper bound.
        about: Approximate number of ticks.
        whole: Whether to use integers only.
    """
    step = _step((high - low) / about)
    if whole:
        step = max(1.0, step)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def tick_labels(values: Sequence[float]) -> list[str]:
    """Format the ticks' values with only the digits that their step needs."""
    step = values[1] - values[0] if len(values) > 1 else 1.0
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return [f"{value + 0.0:.{digits}f}" for value in values]


def thinned(n: int, most: int) -> range:
    """Return at most `most` evenly spaced indices out of `n`, including the first."""
    return range(0, n, max(1, math.ceil(n / most)))


def apart(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move places as little as needed to be `gap` apart and in [`low`, `high`], keeping their order."""
    order = sorted(range(len(places)), key=places.__getitem__)
    moved = list(places)
    floor = low
    for index in order:
        moved[index] = max(moved[index], floor)
        floor = moved[index] + gap
    ceiling = high
    for index in reversed(order):
        moved[index] = min(moved[index], ceiling)
        ceiling = moved[index] - gap
    return moved


def _step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if rough <= factor * power * (1 + 1e-9))
