"""Divides questions into waves for a candidate that may be stopped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def doubling(items: Sequence[T], first: int, most: int | None = None) -> list[Sequence[T]]:
    """Divide items into waves of `first`, `first`, twice `first`, ...: each as large as all before it.

    So a candidate that is stopped after a wave was asked at most twice the questions of that wave and those
    before it, if its judge keeps up, and one that is never stopped fills an engine's batches.

    Args:
        items: In the order they are asked.
        first: Size of the first wave; divides the size of every other, except of the last.
        most: Maximum size of a wave, unless `first` is larger.
    """
    limit = len(items) if most is None else max(most // first, 1) * first
    waves: list[Sequence[T]] = []
    start = 0
    while start < len(items):
        end = start + min(max(start, first), max(limit, first))
        waves.append(items[start:end])
        start = end
    return waves
