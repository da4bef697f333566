"""Which rows of a plan are one expression over plain memory, and how such a sum is cut into pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from tvmerge.merging.deltas import Difference, Operand
from tvmerge.merging.device.residency import ALIGNMENT
from tvmerge.merging.device.transfers import PIECE, Piece
from tvmerge.merging.kernels.vector_sum import VectorSum
from tvmerge.merging.methods import METHODS
from tvmerge.merging.plan import Row

AddPart = Callable[[slice, Sequence[torch.Tensor]], None]
"""Makes a part of a sum, from these elements of each operand."""

STEP = 4096
"""Elements that a piece is a multiple of, so that each begins where memory is read the fastest."""


@dataclass(frozen=True, slots=True)
class PlainSum:
    """A row that is a target and whole differences.

    Attributes:
        operands: Target, then tuned and base of each vector: tensors of one size.
        weights: Of each vector; none is 0.
    """

    operands: tuple[Operand, ...]
    weights: tuple[float, ...]

    def over(
        self, tensors: Sequence[torch.Tensor], out: torch.Tensor, rounded: torch.dtype, overflow: torch.Tensor
    ) -> VectorSum:
        """The sum of these elements of the operands."""
        target, *others = tensors
        pairs = list(zip(others[::2], others[1::2], strict=True))
        return VectorSum(target, pairs, self.weights, out, rounded, overflow)


def plain_sum(row: Row, values: Mapping[str, float]) -> PlainSum | None:
    """`row` as one expression under a recipe; None where it is none, or nothing is added."""
    if not isinstance(row.target, Operand):
        return None
    operands, weights = [row.target], []
    for term in row.terms:
        if (weight := term.weight(values)) == 0:
            continue
        combined = METHODS.load(term.method).combine is not None
        if combined or not isinstance(term.delta, Difference) or not term.is_whole(values):
            return None
        operands += term.delta.operands
        weights.append(weight)
    return PlainSum(tuple(operands), tuple(weights)) if weights else None


@dataclass(frozen=True, slots=True)
class Elements:
    """All elements of an operand, for a sum.

    Attributes:
        there: On the device; None where they are not.
        bytes: On the host.
        dtype: Their format.
    """

    there: torch.Tensor | None
    bytes: Callable[[], torch.Tensor]
    dtype: torch.dtype


def pieces(operands: Sequence[Elements], size: int, add: AddPart) -> Iterator[Piece]:
    """A sum whose operands are not all on the device, in pieces.

    Args:
        operands: At least one of them is on the host.
        size: Elements of each.
        add: Makes a part of the sum, from elements on the device.
    """
    streams = [None if operand.there is not None else operand.bytes() for operand in operands]
    width = sum(operand.dtype.itemsize for operand in operands if operand.there is None)
    step = (PIECE - ALIGNMENT * len(operands)) // width // STEP * STEP
    for start in range(0, size, step):
        part = slice(start, min(start + step, size))
        copies: list[tuple[torch.Tensor, torch.Tensor | None]] = [
            (stream[part.start * operand.dtype.itemsize : part.stop * operand.dtype.itemsize], None)
            for operand, stream in zip(operands, streams, strict=True)
            if stream is not None
        ]
        yield Piece(copies, partial(_add, operands, part, add))


def _add(operands: Sequence[Elements], part: slice, add: AddPart, staged: Sequence[torch.Tensor]) -> None:
    arrived = iter(staged)
    add(
        part,
        [
            next(arrived).view(operand.dtype) if operand.there is None else operand.there[part]
            for operand in operands
        ],
    )


def whole_pieces(stream: torch.Tensor, into: torch.Tensor) -> Iterator[Piece]:
    """All bytes of a tensor, in pieces, on their way to memory of their own on the device."""
    for start in range(0, stream.numel(), PIECE):
        part = slice(start, start + PIECE)
        yield Piece([(stream[part], into[part])])
