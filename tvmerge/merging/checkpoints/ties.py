"""Detects task vectors that change a tied head and the embeddings differently."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tvmerge.merging.additions import OpenVector, additions, match
from tvmerge.merging.checkpoints.checkpoint import Checkpoint
from tvmerge.merging.checkpoints.compatibility import check_structures
from tvmerge.merging.checkpoints.lora.adapter import Adapter
from tvmerge.merging.checkpoints.untied import tied_head
from tvmerge.merging.deltas import Delta
from tvmerge.merging.request import Vocabulary

_CHUNK = 2**20
"""Number of elements compared at a time."""


def diverging_ties(target: Checkpoint, vectors: Sequence[OpenVector], vocabulary: Vocabulary) -> list[str]:
    """Return the vectors that change a target's head and the embeddings it is tied to differently.

    The values are compared, not the configurations, since the head and embeddings of an untied model may
    still be equal. They are read up to the first difference.

    Args:
        target: The target model.
        vectors: The task vectors.
        vocabulary: What happens to embeddings and head if tokens differ.

    Returns:
        Names of the tuned models.

    Raises:
        CheckpointError: The models do not fit together.
    """
    tied = tied_head(target.structure)
    if tied is None:
        return []
    head, table = tied
    place = target.structure.place(table)
    assert place is not None
    apart = []
    for vector in vectors:
        models = [vector.base] if isinstance(vector.tuned, Adapter) else [vector.base, vector.tuned]
        check_structures(
            target.structure, [m.structure for m in models], any_vocabulary=vocabulary != "error"
        )
        shared = match(target, vector, vocabulary)
        if shared != "skip":
            added = additions(target, vector, shared)
            if not _alike(added.get(head), added.get(table), place.shape):
                apart.append(vector.tuned.name)
    return apart


def _alike(one: Delta | None, other: Delta | None, shape: tuple[int, ...]) -> bool:
    if one == other:
        return True
    readers = [None if delta is None else delta.open() for delta in (one, other)]
    size = max(1, _CHUNK // max(1, shape[1]))
    for first in range(0, shape[0], size):
        rows = slice(first, min(first + size, shape[0]))
        read = torch.zeros(3, rows.stop - rows.start, shape[1])
        for out, reader in zip(read, readers, strict=False):
            if reader is not None:
                reader.read(rows, out, read[2])
        if not torch.equal(read[0], read[1]):
            return False
    return True
