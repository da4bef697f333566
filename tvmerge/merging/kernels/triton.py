"""One pass over a GPU's memory, compiled by Triton; imported only where there is one."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl

from tvmerge.merging.kernels.vector_sum import VectorSum

BLOCK = 1024
"""Elements that a program of the kernel works on."""

FORMATS = {torch.bfloat16: tl.bfloat16, torch.float16: tl.float16, torch.float32: tl.float32}
"""The formats that the kernel reads, rounds to and writes."""

OPTIONS = {"enable_fp_fusion": False}
"""A multiplication and an addition fused into one would be rounded once less than on a CPU."""


def add_vectors(wanted: VectorSum) -> None:
    """Make a sum on the GPU that its tensors are on."""
    n = wanted.out.numel()
    kernel[(triton.cdiv(n, BLOCK),)](
        (wanted.target, tuple(wanted.vectors)),
        tuple(map(float, wanted.weights)),
        (wanted.out, wanted.overflow, n),
        FORMATS[wanted.rounded],
        BLOCK,
        **OPTIONS,
    )


# Annotations are read as part of a kernel: they may name what is Triton's, and no other global.
def _elements(
    sources: tl.tuple, weights: tl.tuple, into: tl.tuple, rounded: tl.constexpr, block: tl.constexpr
) -> None:
    target, vectors = sources
    out, overflow, n = into
    at = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = at < n
    tuned = tl.load(vectors[0][0] + at, mask=inside).to(tl.float32)
    base = tl.load(vectors[0][1] + at, mask=inside).to(tl.float32)
    step = (tuned - base) * weights[0]
    for k in tl.static_range(1, len(weights)):
        tuned = tl.load(vectors[k][0] + at, mask=inside).to(tl.float32)
        base = tl.load(vectors[k][1] + at, mask=inside).to(tl.float32)
        step += (tuned - base) * weights[k]
    merged = (tl.load(target + at, mask=inside).to(tl.float32) + step).to(rounded)
    if rounded == tl.float16:
        beyond = inside & ~(tl.abs(merged.to(tl.float32)) <= 65504.0)
        tl.store(overflow, 1, mask=tl.max(beyond.to(tl.int32), 0) > 0)
    tl.store(out + at, merged.to(out.dtype.element_ty), mask=inside)


kernel: Any = triton.jit(_elements)
