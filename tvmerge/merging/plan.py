"""The plan of a merge, made before anything is read: the sources and the weights of each tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch

from tvmerge.merging.checkpoints.digests import DigestCache
from tvmerge.merging.checkpoints.shards import TensorSpec
from tvmerge.merging.deltas import Delta, Difference, Held, Operand, Reader, Stored, Tensors, chunks
from tvmerge.merging.groups import Share, group_names
from tvmerge.merging.methods import METHODS

PART = 2**22
"""Elements of a tensor that one worker takes at a time."""


class Model(Tensors, Protocol):
    """Something on disk that takes part in a merge: a checkpoint, an adapter."""

    name: str
    digest_cache: DigestCache | None

    @property
    def digest(self) -> str:
        """SHA-256 of its content."""


@dataclass(frozen=True, slots=True)
class Term:
    """What one task vector adds to one tensor.

    Attributes:
        delta: The addition for weight 1, before it is made sparse.
        share: What weighs it.
        method: How it is made sparse.
        density: Share of elements that stays, or the name under which the recipe gives it.
        seed: Of a method that draws at random.
    """

    delta: Delta
    share: Share
    method: str = "linear"
    density: float | str = 1.0
    seed: int = 0

    def weight(self, values: Mapping[str, float]) -> float:
        """Its weight in a recipe."""
        return sum(values[name] * factor for name, factor in self.share)

    def reader(self, values: Mapping[str, float], shape: tuple[int, int], chunk: int) -> Reader:
        """Start reading it, as sparse as the recipe wants it."""
        density = values[self.density] if isinstance(self.density, str) else self.density
        sparsify = METHODS.load(self.method).sparsify
        if sparsify is None or density >= 1:
            return self.delta.open()
        return sparsify(self.delta.open(), density, shape=shape, chunk=chunk, seed=self.seed)


@dataclass(frozen=True, slots=True)
class Row:
    """One tensor of the merged model.

    Attributes:
        name: Its name there.
        target: The tensor that gets the vectors.
        spec: Shape, and format in the target.
        terms: What is added; empty for a tensor without weight.
    """

    name: str
    target: Operand | Held
    spec: TensorSpec
    terms: tuple[Term, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns as `deltas.as_rows` counts them."""
        columns = self.spec.shape[-1] if len(self.spec.shape) > 1 else 1
        return (self.spec.numel // columns if columns else 0), columns

    @property
    def plain(self) -> bool:
        """Whether its parts can be merged in any order: no term is made sparse."""
        return all(METHODS.load(term.method).sparsify is None for term in self.terms)

    def parts(self) -> list[slice]:
        """Slices of the rows that can be made on their own; a sparse term is read from start to end."""
        rows, columns = self.shape
        return list(chunks(rows, max(1, PART // max(1, columns)))) if self.plain else [slice(0, rows)]

    def resident(self) -> Row:
        """The same row with target and deltas held in memory, in float32."""
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
        rows: The floating-point tensors, in the order of the merged model.
        copies: Name in the merged model -> a tensor that is copied as it is (integers, unused tables).
        constants: Name -> a tensor that comes from no checkpoint (routers).
        extra: Names among `copies` and `rows` that the model does not use.
        idle: Each vector's name -> the tensors it is not added to -> why it is not.
        models: What to call each model in fingerprints -> the model.
        settings: Whatever else decides the merged tensors, as plain JSON data.
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
        """Names of the weights in the order of their first tensors, then those of searched densities."""
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
