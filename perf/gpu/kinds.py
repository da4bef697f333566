"""Tensors of every kind and format, to compare merges on a device with those of the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product

import torch

from tvmerge.merging.checkpoints.shards import TensorSpec
from tvmerge.merging.deltas import Difference, Operand
from tvmerge.merging.dtypes import code_of
from tvmerge.merging.plan import Row, Term

VALUES = {"0": 0.37, "1": -1.6}
"""Weights of the vectors of `rows_of_every_kind`."""


class _Stored:
    """Tensors in memory as the sources of a row."""

    def __init__(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self._tensors = tensors
        self.specs = {n: TensorSpec(tuple(t.shape), code_of(t.dtype)) for n, t in tensors.items()}

    def tensor(self, name: str) -> torch.Tensor:
        return self._tensors[name]

    def extent(self, name: str) -> None:
        return None


def rows_of_every_kind() -> list[Row]:
    """Return a row for each mixture of formats, with one and two vectors, and with each sparse method."""
    formats = (torch.bfloat16, torch.float16, torch.float32)
    rows = [
        _row("-".join(map(str, mixture)), mixture, vectors)
        for vectors, mixture in product((1, 2), product(formats, repeat=3))
    ]
    for method, vectors in product(("ties", "dare"), (1, 2)):
        plain = _row(f"{method} {vectors}", (torch.bfloat16,) * 3, vectors)
        terms = (replace(term, method=method, density=0.4, seed=7) for term in plain.terms)
        rows.append(replace(plain, terms=tuple(terms)))
    return rows


def _row(name: str, formats: Sequence[torch.dtype], vectors: int) -> Row:
    target, tuned, base = formats
    generator = torch.Generator().manual_seed(len(name))
    dtypes = {"target": target}
    for number in range(vectors):
        dtypes |= {f"tuned{number}": tuned, f"base{number}": base}
    # Triton compiles sizes that are no multiple of 16 once more; rows of a single format have one.
    count = 257 if len({target, tuned, base}) == 1 else 272
    drawn = {key: torch.randn(count, 129, generator=generator).to(dtype) for key, dtype in dtypes.items()}
    stored = _Stored(drawn)
    terms = tuple(
        Term(Difference(Operand(stored, f"tuned{n}"), Operand(stored, f"base{n}")), ((str(n), 1.0),))
        for n in range(vectors)
    )
    return Row(name, Operand(stored, "target"), stored.specs["target"], terms)
