"""What an adapter's tensors mean for embeddings and head that are one tensor.

peft wraps modules, not tensors. A module that is trained whole or gets factors leaves the other one as it is;
what replaces the tensor below both, or rows of it, moves both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from tvmerge.merging.checkpoints.lora.parts import Part
from tvmerge.merging.deltas import Operand

if TYPE_CHECKING:
    from tvmerge.merging.checkpoints.checkpoint import Checkpoint


_ROWS = 2**12
"""Rows compared at a time."""


def follow_ties(parts: Mapping[str, Part], base: Checkpoint) -> dict[str, Part]:
    """Give each name of a tied tensor what moves the tensor below all of them."""
    found = dict(parts)
    for alias, first in base.structure.aliases.items():
        for one, other in ((first, alias), (alias, first)):
            part = parts.get(one)
            if part is None:
                continue
            twin = found.get(other, Part(part.adapter, part.base))
            if part.whole is not None and not part.own and twin.whole is None:
                twin = replace(twin, whole=part.whole, own=False)
            if one == first and part.tokens is not None and twin.tokens is None and twin.whole is None:
                twin = replace(twin, tokens=part.tokens, indices=part.indices)
            if not twin.is_empty:
                found[other] = twin
    return found


def without_copies(parts: Mapping[str, Part]) -> dict[str, Part]:
    """Drop whole tensors that are as in the base; peft writes embeddings along wherever they were touched."""
    found = {
        own: replace(part, whole=None) if part.whole is not None and _is_copy(part, part.whole) else part
        for own, part in parts.items()
    }
    return {own: part for own, part in found.items() if not part.is_empty}


def _is_copy(part: Part, whole: str) -> bool:
    copy, base = Operand(part.adapter, whole).rows(), part.base.rows()
    if copy.shape[1:] != base.shape[1:]:
        return False
    # It may have been written with fewer bits than the base has, and tokens may have been added.
    rows = min(len(copy), len(base))
    return all(
        torch.equal(copy[at : at + _ROWS][: rows - at], base[at : at + _ROWS][: rows - at].to(copy.dtype))
        for at in range(0, rows, _ROWS)
    )
