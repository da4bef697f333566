"""The deltas of tensors, read in chunks of rows in float32.

A tensor of any shape is read as rows of its last dimension, a vector as rows of one element.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from tvmerge._util.canonical import digest
from tvmerge.merging.checkpoints.shards import Extent, TensorSpec


def as_rows(tensor: torch.Tensor) -> torch.Tensor:
    """Return `tensor` as a matrix, without a copy if its memory is contiguous."""
    return tensor.reshape(-1, tensor.shape[-1]) if tensor.dim() > 1 else tensor.reshape(-1, 1)


def own_rows(operand: Operand) -> torch.Tensor:
    """The rows of an operand as they are on disk."""
    return operand.rows()


RowsOf = Callable[["Operand"], torch.Tensor]
"""Gives the rows of an operand, such as a copy of them on an accelerator."""


class Reader(Protocol):
    """Reads a delta from its first row to its last; used by a single thread."""

    @property
    def device(self) -> torch.device:
        """Where it is computed."""

    def read(self, rows: slice, out: torch.Tensor, spare: torch.Tensor) -> None:
        """Write rows of the delta to `out`.

        Args:
            rows: The rows to read, within the delta.
            out: Float32 tensor with as many rows.
            spare: Memory of the same shape that may be overwritten.
        """


class Delta(Protocol):
    """The delta of one task vector to one tensor, for weight 1."""

    @property
    def operands(self) -> tuple[Operand, ...]:
        """The tensors it is made from."""

    def open(self, rows_of: RowsOf = own_rows) -> Reader:
        """Start reading.

        Args:
            rows_of: Gives the rows of an operand, in the memory in which they are read.
        """


class Tensors(Protocol):
    """Named tensors on disk, of a checkpoint or an adapter."""

    @property
    def specs(self) -> Mapping[str, TensorSpec]:
        """Shape and format of every tensor."""

    def tensor(self, name: str) -> torch.Tensor:
        """Return the tensor `name`, which must not be modified."""

    def extent(self, name: str) -> Extent | None:
        """Where it lies in a file; None where it is stored in another way."""


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor on disk."""

    checkpoint: Tensors
    name: str

    def rows(self) -> torch.Tensor:
        """Return the tensor as rows in its dtype, which must not be modified."""
        return as_rows(self.checkpoint.tensor(self.name))


@dataclass(frozen=True, slots=True)
class Held:
    """A tensor in memory."""

    tensor: torch.Tensor

    def rows(self) -> torch.Tensor:
        """Return the tensor as rows."""
        return self.tensor


@dataclass(frozen=True, slots=True)
class Difference:
    """tuned - base."""

    tuned: Operand
    base: Operand

    @property
    def operands(self) -> tuple[Operand, ...]:
        """The tensors it is made from."""
        return (self.tuned, self.base)

    def open(self, rows_of: RowsOf = own_rows) -> Reader:
        """Start reading."""
        return _Difference(rows_of(self.tuned), rows_of(self.base))


@dataclass(frozen=True, slots=True)
class _Difference:
    tuned: torch.Tensor
    base: torch.Tensor

    @property
    def device(self) -> torch.device:
        return self.tuned.device

    def read(self, rows: slice, out: torch.Tensor, spare: torch.Tensor) -> None:
        out.copy_(self.tuned[rows])
        out.sub_(spare.copy_(self.base[rows]))


@dataclass(frozen=True, slots=True)
class TokenRows:
    """The matching rows of embeddings, in ascending order of the target's rows.

    Attributes:
        target: Rows of the target to which something is added.
        base: The row of the same token in the base, for each.
        tuned: The row of the same token in the tuned model, for each.
    """

    target: Sequence[int]
    base: Sequence[int]
    tuned: Sequence[int]

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the rows."""
        return digest([list(self.target), list(self.base), list(self.tuned)])


@dataclass(frozen=True, slots=True)
class TokenDifference:
    """tuned - base for the tokens that all three models have, and 0 for the target's other tokens."""

    tuned: Operand
    base: Operand
    shared: TokenRows

    @property
    def operands(self) -> tuple[Operand, ...]:
        """The tensors it is made from."""
        return (self.tuned, self.base)

    def open(self, rows_of: RowsOf = own_rows) -> Reader:
        """Start reading."""
        target, base, tuned = (
            torch.tensor(rows, dtype=torch.long)
            for rows in (self.shared.target, self.shared.base, self.shared.tuned)
        )
        return _TokenDifference(rows_of(self.tuned), rows_of(self.base), target, base, tuned)


@dataclass(frozen=True, slots=True)
class _TokenDifference:
    tuned: torch.Tensor
    base: torch.Tensor
    target_rows: torch.Tensor
    base_rows: torch.Tensor
    tuned_rows: torch.Tensor

    @property
    def device(self) -> torch.device:
        return self.tuned.device

    def read(self, rows: slice, out: torch.Tensor, spare: torch.Tensor) -> None:
        low, high = torch.searchsorted(self.target_rows, torch.tensor([rows.start, rows.stop])).tolist()
        learnt = spare[: high - low].copy_(self.tuned[self.tuned_rows[low:high]])
        learnt.sub_(self.base[self.base_rows[low:high]].to(learnt))
        out.zero_().index_copy_(0, (self.target_rows[low:high] - rows.start).to(out.device), learnt)


@dataclass(frozen=True, slots=True)
class Stored:
    """A delta in memory, in float32."""

    rows: torch.Tensor

    @property
    def device(self) -> torch.device:
        """Where it is kept."""
        return self.rows.device

    @property
    def operands(self) -> tuple[Operand, ...]:
        """No tensors on disk."""
        return ()

    def open(self, rows_of: RowsOf = own_rows) -> Reader:
        """Start reading."""
        return self

    def read(self, rows: slice, out: torch.Tensor, spare: torch.Tensor) -> None:
        """Write rows to `out`."""
        out.copy_(self.rows[rows])


def chunks(rows: int, size: int) -> Iterator[slice]:
    """Yield consecutive slices of at most `size` rows."""
    return (slice(start, min(start + size, rows)) for start in range(0, rows, size))
