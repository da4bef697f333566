"""Which questions are answered together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def length_sorted(items: Sequence[T], lengths: Sequence[int], *, room: int, budget: int) -> Iterator[list[T]]:
    """Batches of items of similar length, the longest first, so that padding wastes little.

    The longest come first for another reason too: a batch that does not fit in memory shows at once.

    Args:
        items: What to batch.
        lengths: Tokens of each item.
        room: Tokens each row may grow by.
        budget: The most tokens of a batch, padding and growth included; a single item may exceed it.
    """
    order = sorted(range(len(items)), key=lambda i: -lengths[i])
    batch: list[T] = []
    widest = 0
    for index in order:
        width = max(widest, lengths[index] + room)
        if batch and width * (len(batch) + 1) > budget:
            yield batch
            batch, width = [], lengths[index] + room
        batch.append(items[index])
        widest = width
    if batch:
        yield batch
