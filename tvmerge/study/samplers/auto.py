"""Few questions of many candidates, pieced together by a Gaussian process; see `tvmerge.study.blocks`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvmerge.study.samplers import Sampler, key

if TYPE_CHECKING:
    from tvmerge.study.blocks.sampler import BlockSampler
    from tvmerge.study.blocks.search import BlockSearch


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoSettings:
    """Settings of the search by blocks.

    Attributes:
        block: Questions that a candidate answers at a time; None chooses by what they cost.
    """

    block: int | None = key(int, None, 1)


def _make(search: BlockSearch, settings: AutoSettings) -> BlockSampler:
    from tvmerge.study.blocks.sampler import BlockSampler

    return BlockSampler(search, settings.block)


SAMPLER = Sampler(make_blocks=_make, settings=AutoSettings, objectives="one", otherwise="TPE")
