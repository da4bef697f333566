"""What a search by blocks is given, and what it chooses."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvmerge.study.space import Space
from tvmerge.study.warm_start import InitialTrials

if TYPE_CHECKING:
    from tvmerge.study.blocks.metric import Floats


LEAST = 4
"""Questions below which blocks compare candidates worse."""


@dataclass(frozen=True)
class Choice:
    """What is asked next.

    Attributes:
        weights: The candidate's weights, scaled to [0, 2], shape (d,).
        start: Place of its first question in the order of the search.
        stop: Place behind its last.
    """

    weights: Floats
    start: int
    stop: int


@dataclass(frozen=True)
class BlockSearch:
    """What is searched.

    Attributes:
        space: The weights.
        initial: The trials that the study begins with.
        questions: How many questions there are; all candidates meet them in one order.
        scale: How far apart the lowest and the highest score are.
        seed: Root seed.
    """

    space: Space
    initial: InitialTrials
    questions: int
    scale: float
    seed: int


def blocks_of(questions: int, size: int) -> Sequence[range]:
    """Divide questions into blocks, of which the last has the rest, too, if that is small.

    A candidate is merged for each block, and for a few questions that hardly pays.

    Args:
        questions: How many there are, at least one.
        size: How many a block has.
    """
    whole, rest = divmod(questions, size)
    blocks = max(1, whole + (rest >= max(size / 2, min(size, LEAST))))
    starts = [place * size for place in range(blocks)]
    return [range(start, stop) for start, stop in zip(starts, [*starts[1:], questions], strict=True)]


def first_run(places: range, had: AbstractSet[int]) -> range:
    """The first of `places` that were not asked, up to one that was; blocks of other sizes were before."""
    start = next((place for place in places if place not in had), places.stop)
    stop = next((place for place in range(start, places.stop) if place in had), places.stop)
    return range(start, stop)
