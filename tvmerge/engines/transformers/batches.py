"""Groups questions into batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Batches(Generic[T]):
    """Returns items in batches of similar length, the longest first, which keeps padding small.

    The longest come first so that a batch that does not fit in memory fails at once.

    Args:
        items: The items to batch.
        lengths: Number of tokens of each item, including those to be generated.
    """

    def __init__(self, items: Sequence[T], lengths: Sequence[int]) -> None:
        order = sorted(range(len(items)), key=lambda i: -lengths[i])
        self._items = [items[i] for i in order]
        self._widths = [lengths[i] for i in order]
        self._done = 0

    def __bool__(self) -> bool:
        return self._done < len(self._items)

    def next(self, budget: int) -> list[T]:
        """Return the longest items left, as many as fit but at least one.

        Args:
            budget: Maximum number of tokens of the batch, including padding; a single item may exceed it.
        """
        count = max(1, budget // max(1, self._widths[self._done]))
        return self._items[self._done : self._done + count]

    def done(self, batch: Sequence[T]) -> None:
        """Mark the batch that `next` returned as done."""
        self._done += len(batch)

    def divide(self, parts: Sequence[T]) -> None:
        """Put parts of the next item in its place, each with an equal share of its tokens."""
        share = -(-self._widths[self._done] // len(parts))
        place = slice(self._done, self._done + 1)
        self._items[place], self._widths[place] = parts, [share] * len(parts)

    def cost(self, count: int) -> int:
        """Return the number of tokens of the next `count` items, including padding."""
        return count * self._widths[self._done]
