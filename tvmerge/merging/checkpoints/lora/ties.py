"""Applies an adapter's tensors to tied embeddings and head.

peft wraps modules, not tensors. Factors, or training a complete module, change only one of the two modules.
Replacing the shared tensor, or rows of it, changes both.
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
"""Number of rows compared at a time."""


def follow_ties(parts: Mapping[str, Part], base: Checkpoint) -> dict[str, Part]:
    """Give each name of a tied tensor the parts that change the shared tensor."""
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
    """Drop complete tensors that equal the base's; peft also writes embeddings that were not changed."""
    found = {
        own: replace(part, whole=None) if part.whole is not None and _is_copy(part, part.whole) else part
        for own, part in parts.items()
    }
    return {own: part for own, part in found.items() if not part.is_empty}


def _is_copy(part: Part, whole: str) -> bool:
    copy, base = Operand(part.adapter, whole).rows(), part.base.rows()
    if copy.shape[1:] != base.shape[1:]:
        return False
    # Its dtype may have fewer bits than the base's, and tokens may have been added.
    rows = min(len(copy), len(base))
    return all(
        torch.equal(copy[at : at + _ROWS][: rows - at], base[at : at + _ROWS][: rows - at].to(copy.dtype))
        for at in range(0, rows, _ROWS)
    )
