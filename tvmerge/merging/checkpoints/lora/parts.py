"""The part of an adapter for one tensor of its base, and its delta."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tvmerge.merging.checkpoints.lora.deltas import Dora, Experts, LowRank, Scaled, Sum, TokenLowRank
from tvmerge.merging.deltas import Delta, Difference, Operand, Tensors, TokenDifference, TokenRows


@dataclass(frozen=True, slots=True)
class Fused:
    """A tensor of the stacked matrices of all experts, each with its own factors.

    Attributes:
        name: The model's name of it.
        shape: Experts, rows and columns.
        first: The row at which the adapted tensor starts, which may be a part of this one.
    """

    name: str
    shape: tuple[int, ...]
    first: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """All tensors of an adapter that change one tensor of the base; missing ones are None.

    Attributes:
        adapter: The adapter's file.
        base: The tensor.
        whole: Name of a tensor that replaces it.
        a: Name of the factor applied to the input; for embeddings, the one with a column per token.
        b: Name of the other factor.
        magnitude: Name of DoRA's norms.
        bias: Name of a vector that is added, times the scale.
        tokens: Name of a matrix that replaces single rows.
        indices: Indices of these rows, in the order of that matrix.
        scale: The scale of the factors' product.
        flipped: Whether the input is the tensor's first dimension.
        fused: The fused tensor of the factors, if they are those of experts.
        own: Whether `whole` replaces only this tensor, even if another is tied to it.
    """

    adapter: Tensors
    base: Operand
    whole: str | None = None
    a: str | None = None
    b: str | None = None
    magnitude: str | None = None
    bias: str | None = None
    tokens: str | None = None
    indices: Sequence[int] = ()
    scale: float = 1.0
    flipped: bool = False
    fused: Fused | None = None
    own: bool = True

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor."""
        return self.base.checkpoint.specs[self.base.name].shape

    @property
    def is_empty(self) -> bool:
        """Whether it changes nothing."""
        return self.whole is self.a is self.b is self.magnitude is self.bias is self.tokens is None

    @property
    def matrix(self) -> tuple[int, ...]:
        """Shape of the matrix to which the factors' product is added: the tensor, or that of one expert."""
        return self.shape if self.fused is None else self.fused.shape[1:]

    @property
    def is_embedding(self) -> bool:
        """Whether the factors are those of embeddings."""
        return self.a is not None and "lora_embedding" in self.a

    def shape_of(self, key: str) -> tuple[int, ...]:
        """Shape of a tensor of the adapter's file."""
        return self.adapter.specs[key].shape

    def delta(self, shared: TokenRows | None, rows: int) -> Delta | None:
        """Return the delta for weight 1; None if nothing is added.

        Args:
            shared: The matching rows of target, base and adapter, if their tokens differ; not for DoRA.
            rows: Number of rows of the target in that case.
        """
        parts = list(self._parts(shared, rows))
        return Sum(parts) if len(parts) > 1 else next(iter(parts), None)

    def _parts(self, shared: TokenRows | None, rows: int) -> Iterator[Delta]:
        if (product := self._product()) is not None and self.magnitude is not None:
            assert isinstance(product, LowRank)
            start = self.base if self.whole is None else self._named(self.whole)
            yield Dora(start, self.base, product, self._named(self.magnitude))
            return
        if self.whole is not None:
            yield from self._replaced(self._named(self.whole), shared)
        if isinstance(product, LowRank) and shared is not None:
            yield TokenLowRank(product, shared, rows)
        elif product is not None:
            yield product
        if self.tokens is not None:
            found = self._trained(shared or _all(self.shape[0]))
            if found.target:
                yield TokenDifference(self._named(self.tokens), self.base, found)
        if self.bias is not None:
            yield Scaled(self._named(self.bias), self.scale)

    def _product(self) -> LowRank | Experts | None:
        if self.a is None or self.b is None:
            return None
        a, b = self._named(self.a), self._named(self.b)
        if self.fused is not None:
            return Experts(a, b, self.fused.shape[0], self.flipped, self.scale, self.fused.first)
        return LowRank(*((a, b) if self.flipped else (b, a)), self.flipped, self.scale)

    def _replaced(self, whole: Operand, shared: TokenRows | None) -> Iterator[Delta]:
        if self.tokens is not None:  # these rows are replaced below
            given = shared or _all(self.shape[0])
            trained, rows = set(self.indices), zip(given.target, given.base, given.tuned, strict=True)
            shared = _rows([row for row in rows if row[2] not in trained])
        yield Difference(whole, self.base) if shared is None else TokenDifference(whole, self.base, shared)

    def _trained(self, given: TokenRows) -> TokenRows:
        at = {index: position for position, index in enumerate(self.indices)}
        rows = zip(given.target, given.base, given.tuned, strict=True)
        return _rows([(target, base, at[tuned]) for target, base, tuned in rows if tuned in at])

    def _named(self, name: str) -> Operand:
        return Operand(self.adapter, name)


def _all(count: int) -> TokenRows:
    return TokenRows(range(count), range(count), range(count))


def _rows(rows: Sequence[tuple[int, int, int]]) -> TokenRows:
    return TokenRows(*([row[column] for row in rows] for column in range(3)))
