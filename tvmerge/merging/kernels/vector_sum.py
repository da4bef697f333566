"""The common case on an accelerator: a target and whole task vectors, as one expression over plain memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch


@dataclass(frozen=True, slots=True)
class VectorSum:
    """target + sum of weight * (tuned - base), in float32 and rounded once.

    Attributes:
        target: What is added to; a contiguous vector like all the others, on one device and of one size.
        vectors: Tuned and base of each task vector, in the order in which they are added up; at least one.
        weights: What each difference is multiplied by.
        out: Where the sum goes.
        rounded: The format that it is rounded to, whatever `out` holds.
        overflow: One int32; becomes 1 where a number that is rounded to float16 does not fit it.
    """

    target: torch.Tensor
    vectors: Sequence[tuple[torch.Tensor, torch.Tensor]]
    weights: Sequence[float]
    out: torch.Tensor
    rounded: torch.dtype
    overflow: torch.Tensor

    @property
    def variant(self) -> tuple[torch.dtype, ...]:
        """The formats: of the target, of each tuned and base, of what is rounded to, of what is written."""
        read = (self.target, *(tensor for pair in self.vectors for tensor in pair))
        return (*(tensor.dtype for tensor in read), self.rounded, self.out.dtype)

    def part(self, elements: slice) -> VectorSum:
        """The sum of some of the elements; all tensors are vectors."""
        pairs = [(tuned[elements], base[elements]) for tuned, base in self.vectors]
        return replace(self, target=self.target[elements], vectors=pairs, out=self.out[elements])

    def evaluate(self) -> None:
        """Make it with an operation of torch for each of its own."""
        step: torch.Tensor | None = None
        for (tuned, base), weight in zip(self.vectors, self.weights, strict=True):
            # Not `add(alpha=weight)`: that may fuse both roundings into one.
            own = torch.sub(tuned.float(), base.float()).mul_(weight)
            step = own if step is None else step.add_(own)
        assert step is not None
        merged = step.add_(self.target.float()).to(self.rounded)
        if self.rounded == torch.float16:
            flag_infinities(merged, self.overflow)
        self.out.copy_(merged)


def flag_infinities(numbers: torch.Tensor, flag: torch.Tensor) -> None:
    """Set `flag` to 1 where some numbers are infinities or none at all, without waiting for the device.

    Parts of a tensor may do so at the same time: `scatter_reduce_` is atomic, so that none takes back what
    another has set.
    """
    found = (~torch.isfinite(numbers).all()).to(flag.dtype).view_as(flag)
    flag.scatter_reduce_(0, torch.zeros_like(flag, dtype=torch.int64), found, "amax")
