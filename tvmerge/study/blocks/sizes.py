"""The sizes of a study's blocks, as they were chosen and stored: a resumed study keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tvmerge.study.blocks.size import PROBES, BlockSize, Costs, choose_size, sizes_of

if TYPE_CHECKING:
    from tvmerge.study.blocks.sampler import BlockSampler
    from tvmerge.study.blocks.table import Table


def final_size(attrs: Mapping[str, Any]) -> BlockSize | None:
    """Return the size in the attributes of a study that stays; None before it was chosen."""
    return next((size for size in sizes_of(attrs) if size.final), None)


class BlockSizes:
    """The sizes that were chosen for the asks of a study, if it chooses any.

    Args:
        chosen: The sizes so far.
        sampler: Asks the blocks.
        window: The most asks in flight.
    """

    def __init__(self, chosen: Sequence[BlockSize], sampler: BlockSampler, window: int) -> None:
        self._chosen = list(chosen)
        self._sampler = sampler
        self._window = window

    @property
    def final(self) -> BlockSize | None:
        """The size that stays; None before it was chosen."""
        return next((size for size in self._chosen if size.final), None)

    @property
    def open(self) -> bool:
        """Whether the size that stays is still to be chosen."""
        return self._sampler.waits_for_size and self.final is None

    def at(self, number: int) -> int | None:
        """Return the size of an ask; None if none was chosen for it."""
        return next((size.size for size in reversed(self._chosen) if size.start <= number), None)

    def is_due(self, number: int) -> bool:
        """Whether a size has to be chosen before an ask.

        Asks that are measured have been told by then.
        """
        if not self.open:
            return False
        last = self._chosen[-1] if self._chosen else None
        return number >= (self._sampler.initial if last is None else last.start + PROBES + self._window - 1)

    def choose(self, number: int, table: Table, costs: Costs, most: int) -> BlockSize:
        """Choose the size of the asks from `number` on.

        Args:
            number: Number of the next ask.
            table: What it may depend on.
            costs: What was measured and assumed.
            most: The most questions that are sensible.
        """
        # A run that was killed in between has told what it measured before.
        seconds = {k: v for size in self._chosen for k, v in size.seconds.items()} | dict(costs.seconds)
        known = replace(costs, seconds=seconds)
        found = choose_size(known, self._sampler.variance_ratio(table), most, self._chosen, number)
        self._chosen.append(replace(found, seconds=seconds))
        return self._chosen[-1]

    def as_json(self) -> list[dict[str, Any]]:
        """Return the attribute `BLOCK_SIZES`."""
        return [size.as_json() for size in self._chosen]
