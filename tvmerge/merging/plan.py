"""The plan of a merge, made before tensors are read: the sources and weights of each tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch

from tvmerge.merging.checkpoints.digests import DigestCache
from tvmerge.merging.checkpoints.shards import TensorSpec
from tvmerge.merging.deltas import (
    Delta,
    Difference,
    Held,
    Operand,
    Reader,
    RowsOf,
    Stored,
    Tensors,
    chunks,
    own_rows,
)
from tvmerge.merging.groups import Share, group_names
from tvmerge.merging.methods import METHODS

PART = 2**22
"""Number of elements of a tensor that a worker processes at a time."""


class Model(Tensors, Protocol):
    """A source on disk, such as a checkpoint or an adapter."""

    name: str
    digest_cache: DigestCache | None

    @property
    def digest(self) -> str:
        """The SHA-256 of its content."""


@dataclass(frozen=True, slots=True)
class Term:
    """The term that one task vector adds to one tensor.

    Attributes:
        delta: The delta for weight 1, before it is made sparse.
        share: Its share in the named weights.
        method: The method that makes it sparse.
        density: Fraction of elements to keep, or its name in the recipe.
        seed: Seed of a random method.
    """

    delta: Delta
    share: Share
    method: str = "linear"
    density: float | str = 1.0
    seed: int = 0

    def weight(self, values: Mapping[str, float]) -> float:
        """Return its weight in a recipe."""
        return sum(values[name] * factor for name, factor in self.share)

    def is_whole(self, values: Mapping[str, float]) -> bool:
        """Return whether a recipe adds all its elements."""
        return METHODS.load(self.method).sparsify is None or self._density(values) >= 1

    def reader(
        self,
        values: Mapping[str, float],
        shape: tuple[int, int],
        chunk: int,
        rows_of: RowsOf = own_rows,
    ) -> Reader:
        """Start reading it, with the recipe's density."""
        whole = self.delta.open(rows_of)
        sparsify = METHODS.load(self.method).sparsify
        if sparsify is None or self.is_whole(values):
            return whole
        return sparsify(whole, self._density(values), shape=shape, chunk=chunk, seed=self.seed)

    def _density(self, values: Mapping[str, float]) -> float:
        return values[self.density] if isinstance(self.density, str) else self.density


@dataclass(frozen=True, slots=True)
class Row:
    """One tensor of the merged model.

    Attributes:
        name: Its name.
        target: The target's tensor.
        spec: Its shape, and its dtype in the target.
        terms: The terms that are added; empty for a tensor without a weight.
    """

    name: str
    target: Operand | Held
    spec: TensorSpec
    terms: tuple[Term, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, as in `deltas.as_rows`."""
        columns = self.spec.shape[-1] if len(self.spec.shape) > 1 else 1
        return (self.spec.numel // columns if columns else 0), columns

    @property
    def operands(self) -> tuple[Operand, ...]:
        """The tensors on disk that it is made from."""
        target = (self.target,) if isinstance(self.target, Operand) else ()
        return (*target, *(operand for term in self.terms for operand in term.delta.operands))

    @property
    def plain(self) -> bool:
        """Whether its parts can be merged in any order, since no term is sparse."""
        return all(METHODS.load(term.method).sparsify is None for term in self.terms)

    def parts(self) -> list[slice]:
        """Slices of rows that can be computed separately; one slice if a term is sparse."""
        rows, columns = self.shape
        return list(chunks(rows, max(1, PART // max(1, columns)))) if self.plain else [slice(0, rows)]

    def resident(self) -> Row:
        """Return the row with target and deltas in memory, in float32."""
        deltas = [torch.empty(self.shape) for _ in self.terms]
        for term, rows in zip(self.terms, deltas, strict=True):
            term.delta.open().read(slice(0, self.shape[0]), rows, torch.empty_like(rows))
        terms = tuple(
            replace(term, delta=Stored(rows)) for term, rows in zip(self.terms, deltas, strict=True)
        )
        return replace(self, target=Held(self.target.rows().float()), terms=terms)


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole merge.

    Attributes:
        rows: The float tensors, in the order of the merged model.
        copies: Tensors that are copied (integers, unused tables), by their names in the merged model.
        constants: Tensors that come from no checkpoint (routers), by name.
        extra: Names in `copies` and `rows` that the model does not use.
        idle: For each vector, the tensors it is not added to and why.
        models: The models by their names in fingerprints.
        settings: Everything else that decides the merged tensors, as JSON data.
    """

    rows: tuple[Row, ...]
    copies: Mapping[str, Operand]
    models: Mapping[str, Model]
    constants: Mapping[str, torch.Tensor] = field(default_factory=dict)
    extra: tuple[str, ...] = ()
    idle: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the weights in the order of their first tensors, then of searched densities."""
        terms = [term for row in self.rows for term in row.terms]
        densities = dict.fromkeys(term.density for term in terms if isinstance(term.density, str))
        return (*group_names(term.share for term in terms), *densities)

    @property
    def differences_only(self) -> bool:
        """Whether every tensor is target + weight * (tuned - base) or a copy, with one vector."""
        return all(
            len(row.terms) <= 1 and row.plain and all(isinstance(t.delta, Difference) for t in row.terms)
            for row in self.rows
        )
