"""TIES: keeps the elements of largest magnitude, and elects a sign for each element of several vectors.

Yadav et al. 2023, "TIES-Merging". It works on a stream of chunks, so no vector is in memory as a whole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from tvmerge.merging.deltas import Reader, chunks
from tvmerge.merging.methods import Method

_BUCKETS = 2**16


@dataclass(slots=True)
class Trimmed:
    """Keeps the elements of largest magnitude, the first ones if magnitudes are equal.

    Attributes:
        reader: The complete vector.
        threshold: Magnitude of the smallest kept element; all larger ones are kept.
        quota: Number of elements of exactly that magnitude that are still to be kept.
    """

    reader: Reader
    threshold: float
    quota: int

    @property
    def device(self) -> torch.device:
        """Where it is computed."""
        return self.reader.device

    def read(self, rows: slice, out: torch.Tensor, spare: torch.Tensor) -> None:
        """Write rows of the trimmed vector to `out`."""
        self.reader.read(rows, out, spare)
        magnitude = torch.abs(out, out=spare).view(-1)
        keep = magnitude > self.threshold
        equal = (magnitude == self.threshold).nonzero().view(-1)[: self.quota]
        keep[equal] = True
        self.quota -= equal.numel()
        out.mul_(keep.view_as(out))


def trim(reader: Reader, density: float, shape: tuple[int, int], chunk: int) -> Reader:
    """Wrap `reader` to keep only the fraction `density` of its elements with the largest magnitudes.

    As in mergekit, floor(density * elements) are kept, but at least one.

    Args:
        reader: A vector, opened for this call; it is read twice.
        density: Between 0 and 1.
        shape: Rows and columns.
        chunk: Rows read at a time.
    """
    elements = shape[0] * shape[1]
    keep = max(1, int(density * elements)) if density > 0 else 0
    if keep == 0:
        return Trimmed(reader, math.inf, 0)
    # The bits of positive floats, read as integers, sort like the floats. Elements are first counted by the
    # high half of their bits, then those with the threshold's high half by the low half.
    high, above = _locate(_counts(reader, shape, chunk, None), keep)
    low, above_low = _locate(_counts(reader, shape, chunk, high), keep - above)
    bits = torch.tensor([(high << 16) | low], dtype=torch.int32)
    return Trimmed(reader, float(bits.view(torch.float32)), keep - above - above_low)


def _counts(reader: Reader, shape: tuple[int, int], chunk: int, high: int | None) -> torch.Tensor:
    """Count elements by the high half of their bits, or those whose high half is `high` by the low half."""
    counts = torch.zeros(_BUCKETS, dtype=torch.long, device=reader.device)
    out, spare = torch.empty(2, min(chunk, shape[0]), shape[1], device=reader.device).unbind()
    for rows in chunks(shape[0], chunk):
        part = out[: rows.stop - rows.start]
        reader.read(rows, part, spare[: len(part)])
        bits = part.abs_().view(torch.int32).view(-1)
        halves = bits >> 16 if high is None else bits[(bits >> 16) == high] & (_BUCKETS - 1)
        counts += torch.bincount(halves, minlength=_BUCKETS)
    return counts


def _locate(counts: torch.Tensor, rank: int) -> tuple[int, int]:
    """Return the bucket of the element with this rank (1 is the largest), and the count in higher buckets."""
    reached = counts.flip(0).cumsum(0)
    position = int(torch.searchsorted(reached, rank))
    above = int(reached[position - 1]) if position else 0
    return len(counts) - 1 - position, above


def elect(weighted: list[torch.Tensor]) -> torch.Tensor:
    """Sum the contributions to each element that have the sign of their total; zero counts as positive.

    Unlike the mean in the paper, the sum is not divided by the weights that agree, since a searched weight
    would cancel.

    Args:
        weighted: Trimmed vectors times weights; overwritten.
    """
    # Not `stack(...).sum(0)`: in which order that adds, each kind of hardware decides for itself.
    total = weighted[0].clone()
    for part in weighted[1:]:
        total.add_(part)
    sign = (total >= 0).to(total.dtype).mul_(2).sub_(1)
    chosen = torch.zeros_like(total)
    for part in weighted:
        chosen.add_(part.mul_(part.sign() == sign))
    return chosen


def _sparsify(reader: Reader, density: float, *, shape: tuple[int, int], chunk: int, seed: int) -> Reader:
    return trim(reader, density, shape, chunk)


METHOD = Method(sparsify=_sparsify, combine=elect, mergekit="ties")
