"""The deltas of an adapter for weight 1, read a few rows at a time in float32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import Lock

import torch

from tvmerge.merging.deltas import Delta, Operand, Reader, RowsOf, TokenRows, own_rows

_CHUNK = 2**20
"""Number of elements processed at a time of a matrix that must first be read as a whole."""


@dataclass(frozen=True, slots=True)
class LowRank:
    """left @ right * scale; Hu et al. 2021, "LoRA".

    Attributes:
        left: (rows, rank).
        right: (rank, columns).
        flipped: Whether both are transposed on disk.
        scale: The factor of the product.
    """

    left: Operand
    right: Operand
    flipped: bool
    scale: float

    @property
    def operands(self) -> tuple[Operand, ...]:
        """The tensors it is made from."""
        return (self.left, self.right)

    @property
    def factors(self) -> tuple[Operand, Operand]:
        """B of shape (outputs, rank) and A of shape (rank, inputs)."""
        return (self.right, self.left) if self.flipped else (self.left, self.right)

    def open(self, rows_of: RowsOf = own_rows) -> Product:
        """Start reading."""
        left, right = (rows_of(operand).float() for operand in (self.left, self.right))
        return Product(left.T, right.T, self.scale) if self.flipped else Product(left, right, self.scale)


@dataclass(frozen=True, slots=True)
class Product:
    """left @ right * scale, of matrices in memory."""

    left: torch.Tensor
    right: torch.Tensor
    scale: float

    @property
    def device(self) -> torch.device:
        """Where it is computed."""
        return self.left.device

    def read(self, rows: slice, out: torch.Tensor, spare: torch.Tensor) -> None:
        """Write rows to `out`."""
        torch.mm(self.left[rows].to(out.device), self.right.to(out.device), out=out).mul_(self.scale)


@dataclass(frozen=True, slots=True)
class TokenLowRank:
    """The rows of a product that belong to tokens of the target, and 0 for its other tokens.

    Attributes:
        product: A product with one row per token of the adapter.
        shared: The matching rows; `tuned` are those of the product.
        rows: Number of rows of the target.
    """

    product: LowRank
    shared: TokenRows
    rows: int

    @property
    def operands(self) -> tuple[Operand, ...]:
        """The tensors it is made from."""
        return self.product.operands

    def open(self, rows_of: RowsOf = own_rows) -> Product:
        """Start reading."""
        product = self.product.open(rows_of)
        left = product.left.new_zeros(self.rows, product.left.shape[1])
        left[list(self.shared.target)] = product.left[list(self.shared.tuned)]
        return Product(left, product.right, product.scale)


class Dora:
    """m * (start + left @ right * scale) / its norms - base; Liu et al. 2024, "DoRA", equations 5 and 6.

    Args:
        start: The tensor that the product is added to: the base's, unless the adapter has another.
        base: The base's tensor.
        product: The low-rank part.
        magnitude: The learned norms, one per output: per row, or per column of a tensor whose first dimension
            is the input (`product.flipped`).
    """

    def __init__(self, start: Operand, base: Operand, product: LowRank, magnitude: Operand) -> None:
        self.start, self.base, self.product, self.magnitude = start, base, product, magnitude
        self._lock = Lock()

    @property
    def operands(self) -> tuple[Operand, ...]:
        """The tensors it is made from."""
        return (self.start, self.base, *self.product.operands, self.magnitude)

    def open(self, rows_of: RowsOf = own_rows) -> Reader:
        """Start reading."""
        start, base, product = rows_of(self.start), rows_of(self.base), self.product.open(rows_of)
        magnitude = self.magnitude.rows().float().reshape(-1)
        if not self.product.flipped:
            return _DoraRows(start, base, product, magnitude)
        with self._lock:
            norms = self._column_norms
        return _DoraColumns(start, base, product, magnitude / norms)

    @cached_property
    def _column_norms(self) -> torch.Tensor:
        start, product = self.start.rows(), self.product.open()
        squares = torch.zeros(start.shape[1], dtype=torch.float64)
        size = max(1, _CHUNK // max(1, start.shape[1]))
        for first in range(0, start.shape[0], size):
            rows = slice(first, min(first + size, start.shape[0]))
            directed = torch.empty(rows.stop - rows.start, start.shape[1])
            product.read(rows, directed, directed)
            squares += directed.add_(start[rows]).square_().sum(0, dtype=torch.float64)
        return squares.sqrt().float()


@dataclass(frozen=True, slots=True)
class _DoraRows:
    start: torch.Tensor
    base: torch.Tensor
    product: Product
    magnitude: torch.Tensor

    @property
    def device(self) -> torch.device:
        return self.start.device

    def read(self, rows: slice, out: torch.Tensor, spare: torch.Tensor) -> None:
        self.product.read(rows, out, spare)
        out.add_(spare.copy_(self.start[rows]))
        factors = self.magnitude[rows].to(out.device) / torch.linalg.vector_norm(out, dim=1)
        out.mul_(factors[:, None]).sub_(spare.copy_(self.base[rows]))


@dataclass(frozen=True, slots=True)
class _DoraColumns:
    start: torch.Tensor
    base: torch.Tensor
    product: Product
    factors: torch.Tensor

    @property
    def device(self) -> torch.device:
        return self.start.device

    def read(self, rows: slice, out: torch.Tensor, spare: torch.Tensor) -> None:
        self.product.read(rows, out, spare)
        out.add_(spare.copy_(self.start[rows])).mul_(self.factors.to(out.device))
        out.sub_(spare.copy_(self.base[rows]))


@dataclass(frozen=True, slots=True)
class Experts:
    """The products of the experts of a fused tensor, or a range of their rows.

    peft stores the factors of all experts in two matrices: the columns of `b` iterate over the experts within
    each rank, the rows of `a` over the ranks within each expert.

    Attributes:
        a: (experts * rank, inputs).
        b: (outputs, rank * experts).
        experts: Number of experts.
        flipped: Whether the input is the first dimension of each expert's matrix.
        scale: The factor of the products.
        first: Row of the fused tensor, with all matrices stacked, at which this one starts.
    """

    a: Operand
    b: Operand
    experts: int
    flipped: bool
    scale: float
    first: int = 0

    @property
    def operands(self) -> tuple[Operand, ...]:
        """The tensors it is made from."""
        return (self.a, self.b)

    def open(self, rows_of: RowsOf = own_rows) -> Reader:
        """Start reading."""
        a, b = (rows_of(operand).float() for operand in (self.a, self.b))
        right = a.reshape(self.experts, -1, a.shape[1])
        left = b.reshape(b.shape[0], -1, self.experts).permute(2, 0, 1)
        if self.flipped:
            left, right = right.transpose(1, 2), left.transpose(1, 2)
        return _Experts(left, right, self.scale, self.first)


@dataclass(frozen=True, slots=True)
class _Experts:
    left: torch.Tensor
    right: torch.Tensor
    scale: float
    first: int

    @property
    def device(self) -> torch.device:
        return self.left.device

    def read(self, rows: slice, out: torch.Tensor, spare: torch.Tensor) -> None:
        height = self.left.shape[1]
        at, end = self.first + rows.start, self.first + rows.stop
        while at < end:
            expert, row = divmod(at, height)
            n = min(height - row, end - at)
            done = at - self.first - rows.start
            left, right = self.left[expert, row : row + n], self.right[expert]
            torch.mm(left.to(out.device), right.to(out.device), out=out[done : done + n])
            at += n
        out.mul_(self.scale)


@dataclass(frozen=True, slots=True)
class Scaled:
    """A tensor times a number.

    Attributes:
        tensor: The tensor.
        scale: The number.
    """

    tensor: Operand
    scale: float

    @property
    def operands(self) -> tuple[Operand, ...]:
        """The tensors it is made from."""
        return (self.tensor,)

    def open(self, rows_of: RowsOf = own_rows) -> Reader:
        """Start reading."""
        return _Scaled(rows_of(self.tensor), self.scale)


@dataclass(frozen=True, slots=True)
class _Scaled:
    rows: torch.Tensor
    scale: float

    @property
    def device(self) -> torch.device:
        return self.rows.device

    def read(self, rows: slice, out: torch.Tensor, spare: torch.Tensor) -> None:
        out.copy_(self.rows[rows]).mul_(self.scale)


@dataclass(frozen=True, slots=True)
class Sum:
    """Several deltas of one tensor."""

    parts: Sequence[Delta]

    @property
    def operands(self) -> tuple[Operand, ...]:
        """The tensors it is made from."""
        return tuple(operand for part in self.parts for operand in part.operands)

    def open(self, rows_of: RowsOf = own_rows) -> Reader:
        """Start reading."""
        return _Sum([part.open(rows_of) for part in self.parts])


@dataclass(frozen=True, slots=True)
class _Sum:
    parts: Sequence[Reader]

    @property
    def device(self) -> torch.device:
        return self.parts[0].device

    def read(self, rows: slice, out: torch.Tensor, spare: torch.Tensor) -> None:
        first, *others = self.parts
        first.read(rows, out, spare)
        one = torch.empty_like(out)
        for part in others:
            part.read(rows, one, spare)
            out.add_(one)
