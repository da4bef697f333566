"""Sources in memory, and rows of a plan that are made from them."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from tvmerge.merging.checkpoints.shards import Extent, TensorSpec
from tvmerge.merging.deltas import Difference, Operand
from tvmerge.merging.dtypes import code_of
from tvmerge.merging.plan import Row, Term


@dataclass(eq=False)
class Values:
    """Tensors in memory that count how often they are read."""

    tensors: dict[str, torch.Tensor]
    read: list[str] = field(default_factory=list)

    @property
    def specs(self) -> dict[str, TensorSpec]:
        return {n: TensorSpec(tuple(t.shape), code_of(t.dtype)) for n, t in self.tensors.items()}

    def tensor(self, name: str) -> torch.Tensor:
        self.read.append(name)
        return self.tensors[name]

    def extent(self, name: str) -> Extent | None:
        return None


def row_of(target: torch.Tensor, *pairs: tuple[torch.Tensor, torch.Tensor], name: str = "w") -> Row:
    """A target and, for each pair, the difference of tuned and base; the weights are called 0, 1, ..."""
    tensors = {"target": target}
    for number, pair in enumerate(pairs):
        tensors |= dict(zip((f"tuned{number}", f"base{number}"), pair, strict=True))
    values = Values(tensors)
    terms = tuple(
        Term(
            Difference(Operand(values, f"tuned{number}"), Operand(values, f"base{number}")),
            ((str(number), 1.0),),
        )
        for number in range(len(pairs))
    )
    return Row(name, Operand(values, "target"), values.specs["target"], terms)
