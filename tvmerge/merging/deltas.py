"""What is added to a tensor: the rows of a task vector, read a chunk at a time in float32.

A tensor of any shape is walked as rows of its last dimension, a vector as rows of one element.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from tvmerge._util.canonical import digest
from tvmerge.merging.checkpoints.shards import TensorSpec


def as_rows(tensor: torch.Tensor) -> torch.Tensor:
    """`tensor` as a matrix, without a copy where its memory is contiguous."""
    return tensor.reshape(-1, tensor.shape[-1]) if tensor.dim() > 1 else tensor.reshape(-1, 1)


class Reader(Protocol):
    """A delta being read, from its first row to its last, by one thread."""

    def read(self, rows: slice, out: torch.Tensor, spare: torch.Tensor) -> None:
        """Write rows of the delta to `out`.

        Args:
            rows: Which, by number; never beyond the end.
            out: Float32, as many rows.
            spare: Memory like `out` that may be overwritten.
        """


class Delta(Protocol):
    """What one task vector adds to one tensor, for weight 1."""

    @property
    def operands(self) -> tuple[Operand, ...]:
        """The tensors it is made from."""

    def open(self) -> Reader:
        """Start reading."""


class Tensors(Protocol):
    """Named tensors on disk: a checkpoint, an adapter."""

    @property
    def specs(self) -> Mapping[str, TensorSpec]:
        """Shape and format of every tensor."""

    def tensor(self, name: str) -> torch.Tensor:
        """The tensor `name`; nobody writes to it."""


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor on disk."""

    checkpoint: Tensors
    name: str

    def rows(self) -> torch.Tensor:
        """The tensor as rows, in its own format; nobody writes to it."""
        return as_rows(self.checkpoint.tensor(self.name))


@dataclass(frozen=True, slots=True)
class Held:
    """A tensor in memory."""

    tensor: torch.Tensor

    def rows(self) -> torch.Tensor:
        """The tensor as rows."""
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

    def open(self) -> Reader:
        """Start reading."""
        return _Difference(self.tuned.rows(), self.base.rows())


@dataclass(frozen=True, slots=True)
class _Difference:
    tuned: torch.Tensor
    base: torch.Tensor

    def read(self, rows: slice, out: torch.Tensor, spare: torch.Tensor) -> None:
        out.copy_(self.tuned[rows])
        out.sub_(spare.copy_(self.base[rows]))


@dataclass(frozen=True, slots=True)
class TokenRows:
    """Which rows of embeddings belong together, by number, in ascending order of the target's.

    Attributes:
        target: Rows of the target that get something.
        base: The row of the same token in the base, for each.
        tuned: The row of the same token in the tuned model, for each.
    """

    target: Sequence[int]
    base: Sequence[int]
    tuned: Sequence[int]

    @property
    def digest(self) -> str:
        """SHA-256 of them."""
        return digest([list(self.target), list(self.base), list(self.tuned)])


@dataclass(frozen=True, slots=True)
class TokenDifference:
    """tuned - base for the tokens which all three models have; nothing for the target's own tokens."""

    tuned: Operand
    base: Operand
    shared: TokenRows

    @property
    def operands(self) -> tuple[Operand, ...]:
        """The tensors it is made from."""
        return (self.tuned, self.base)

    def open(self) -> Reader:
        """Start reading."""
        target, base, tuned = (
            torch.tensor(rows, dtype=torch.long)
            for rows in (self.shared.target, self.shared.base, self.shared.tuned)
        )
        return _TokenDifference(self.tuned.rows(), self.base.rows(), target, base, tuned)


@dataclass(frozen=True, slots=True)
class _TokenDifference:
    tuned: torch.Tensor
    base: torch.Tensor
    target_rows: torch.Tensor
    base_rows: torch.Tensor
    tuned_rows: torch.Tensor

    def read(self, rows: slice, out: torch.Tensor, spare: torch.Tensor) -> None:
        low, high = torch.searchsorted(self.target_rows, torch.tensor([rows.start, rows.stop])).tolist()
        learnt = spare[: high - low].copy_(self.tuned[self.tuned_rows[low:high]])
        learnt.sub_(self.base[self.base_rows[low:high]].to(learnt))
        out.zero_().index_copy_(0, (self.target_rows[low:high] - rows.start).to(out.device), learnt)


@dataclass(frozen=True, slots=True)
class Stored:
    """A delta that is kept in memory, in float32."""

    rows: torch.Tensor

    @property
    def operands(self) -> tuple[Operand, ...]:
        """Nothing on disk."""
        return ()

    def open(self) -> Reader:
        """Start reading."""
        return self

    def read(self, rows: slice, out: torch.Tensor, spare: torch.Tensor) -> None:
        """Write rows to `out`."""
        out.copy_(self.rows[rows])


def chunks(rows: int, size: int) -> Iterator[slice]:
    """Consecutive slices of at most `size` rows."""
    return (slice(start, min(start + size, rows)) for start in range(0, rows, size))
