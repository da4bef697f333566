"""TIES: the elements of largest magnitude stay, and several vectors choose a sign for each element.

Yadav et al. 2023, "TIES-Merging". It works on a stream of chunks, so that no vector is held whole.
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
    """Keeps the `keep` elements of largest magnitude; of equal ones those that come first.

    Attributes:
        reader: The whole vector.
        threshold: Magnitude of the smallest element kept; larger ones are kept all.
        quota: How many elements of just that magnitude are still to be kept.
    """

    reader: Reader
    threshold: float
    quota: int

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
    """Wrap `reader` so that only the share `density` of its elements remains, the largest.

    As many are kept as mergekit keeps: the whole part of density * elements, at least one of them.

    Args:
        reader: A vector, opened for this purpose; it is read two times.
        density: Between 0 and 1.
        shape: Rows and columns.
        chunk: Rows read at a time.
    """
    elements = shape[0] * shape[1]
    keep = max(1, int(density * elements)) if density > 0 else 0
    if keep == 0:
        return Trimmed(reader, math.inf, 0)
    # A float32's bits, read as an integer, are in the order of its magnitude: high halves are counted first,
    # then the low halves of those elements whose high half is the threshold's.
    high, above = _locate(_counts(reader, shape, chunk, None), keep)
    low, above_low = _locate(_counts(reader, shape, chunk, high), keep - above)
    bits = torch.tensor([(high << 16) | low], dtype=torch.int32)
    return Trimmed(reader, float(bits.view(torch.float32)), keep - above - above_low)


def _counts(reader: Reader, shape: tuple[int, int], chunk: int, high: int | None) -> torch.Tensor:
    """How many elements have each high half; with `high`, each low half behind it."""
    counts = torch.zeros(_BUCKETS, dtype=torch.long)
    out, spare = torch.empty(2, min(chunk, shape[0]), shape[1]).unbind()
    for rows in chunks(shape[0], chunk):
        part = out[: rows.stop - rows.start]
        reader.read(rows, part, spare[: len(part)])
        bits = part.abs_().view(torch.int32).view(-1)
        halves = bits >> 16 if high is None else bits[(bits >> 16) == high] & (_BUCKETS - 1)
        counts += torch.bincount(halves, minlength=_BUCKETS)
    return counts


def _locate(counts: torch.Tensor, rank: int) -> tuple[int, int]:
    """The bucket of the element with this rank (1: the largest), and how many elements are in higher ones."""
    reached = counts.flip(0).cumsum(0)
    position = int(torch.searchsorted(reached, rank))
    above = int(reached[position - 1]) if position else 0
    return len(counts) - 1 - position, above


def elect(weighted: list[torch.Tensor]) -> torch.Tensor:
    """Sum, of each element, the contributions that have the sign of their whole sum; zero counts as positive.

    Not divided by the weights that agree, as the paper's mean is: a weight that is searched must not cancel.

    Args:
        weighted: Trimmed vectors times weights; overwritten.
    """
    total = torch.stack(weighted).sum(0)
    sign = (total >= 0).to(total.dtype).mul_(2).sub_(1)
    chosen = torch.zeros_like(total)
    for part in weighted:
        chosen.add_(part.mul_(part.sign() == sign))
    return chosen


def _sparsify(reader: Reader, density: float, *, shape: tuple[int, int], chunk: int, seed: int) -> Reader:
    return trim(reader, density, shape, chunk)


METHOD = Method(sparsify=_sparsify, combine=elect, mergekit="ties")
