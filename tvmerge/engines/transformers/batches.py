"""Which questions are answered together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Batches(Generic[T]):
    """Items handed out in batches of similar length, the longest first, so that padding wastes little.

    The longest come first for another reason too: a batch that does not fit in memory shows at once.

    Args:
        items: What to batch.
        lengths: Tokens of each item, those it will grow by included.
    """

    def __init__(self, items: Sequence[T], lengths: Sequence[int]) -> None:
        order = sorted(range(len(items)), key=lambda i: -lengths[i])
        self._items = [items[i] for i in order]
        self._widths = [lengths[i] for i in order]
        self._done = 0

    def __bool__(self) -> bool:
        return self._done < len(self._items)

    def next(self, budget: int) -> list[T]:
        """The longest items left, as many as fit; at least one.

        Args:
            budget: The most tokens of the batch, padding included; a single item may exceed it.
        """
        count = max(1, budget // max(1, self._widths[self._done]))
        return self._items[self._done : self._done + count]

    def done(self, batch: Sequence[T]) -> None:
        """Take note that the batch that `next` gave is dealt with."""
        self._done += len(batch)

    def cost(self, count: int) -> int:
        """Tokens of the next `count` items together, padding included."""
        return count * self._widths[self._done]
