"""One pass over a GPU's memory, compiled by Triton; imported only where there is one."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl

_BLOCK = 1024
"""Elements a program works on."""


def merge_elements(
    sources: tuple[torch.Tensor, torch.Tensor, torch.Tensor], weight: float, out: torch.Tensor
) -> None:
    """Write target + weight * (tuned - base), in float32 and rounded once, to `out`.

    Args:
        sources: Target, tuned and base, contiguous, in any floating-point formats.
        weight: What the difference is multiplied by.
        out: Contiguous, of the same shape, in the format that is rounded to.
    """
    n = out.numel()
    # A multiplication and an addition fused into one would be rounded once less than elsewhere.
    _kernel[(triton.cdiv(n, _BLOCK),)](sources, out, weight, n, _BLOCK, enable_fp_fusion=False)


def _elements(sources: Any, out: Any, weight: Any, n: Any, block: tl.constexpr) -> None:
    at = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = at < n
    target = tl.load(sources[0] + at, mask=inside).to(tl.float32)
    tuned = tl.load(sources[1] + at, mask=inside).to(tl.float32)
    base = tl.load(sources[2] + at, mask=inside).to(tl.float32)
    merged = target + weight * (tuned - base)
    tl.store(out + at, merged.to(out.dtype.element_ty), mask=inside)


_kernel: Any = triton.jit(_elements)
