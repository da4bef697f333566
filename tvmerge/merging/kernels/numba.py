"""One pass over bfloat16 memory, compiled for this machine's processor by numba where that is installed.

torch has no operation that reads three tensors and rounds once, so `arithmetic` writes float32 rows six times
for each tensor; that costs twice as much as the reading. numba brings LLVM with it: no compiler is needed on
the machine. Both ways give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import Any

import torch

from tvmerge.merging.kernels.fast_path import FastPath

_Kernel = Callable[[Any, Any, Any, float, Any], None]
_WRITES = {torch.bfloat16, torch.float32}

_compiling = Lock()
"""Held by the first worker while the others wait for what it compiles."""


def merge_natively(row: FastPath, out: torch.Tensor, dtype: torch.dtype, part: slice) -> bool:
    """Merge rows of one tensor, where the compiled code knows the formats and numba is there.

    Args:
        row: The tensor.
        out: Memory for the whole tensor as rows, on the CPU.
        dtype: What each element is rounded to, whatever `out` holds.
        part: Which rows.

    Returns:
        Whether it was done.
    """
    if dtype != torch.bfloat16 or out.dtype not in _WRITES:
        return False
    operands = [operand.rows() for operand in row.operands]
    if any(rows.dtype != torch.bfloat16 for rows in operands):
        return False
    rows = [*operands, out]
    if not all(map(_regular, rows)):
        return False
    with _compiling:
        kernel = kernel_for(out.dtype)
    if kernel is None:
        return False
    target, tuned, base, into = (_flat(tensor[part]) for tensor in rows)
    kernel(target, tuned, base, row.weight, into)
    return True


def _regular(rows: torch.Tensor) -> bool:
    """Whether memory is without gaps, and each number where a processor expects it; files need not be so."""
    return rows.is_contiguous() and rows.data_ptr() % rows.element_size() == 0


def _flat(rows: torch.Tensor) -> Any:
    """The memory of `rows` as a NumPy array: bfloat16, which NumPy lacks, by its bits."""
    return (rows.view(torch.uint16) if rows.dtype == torch.bfloat16 else rows).view(-1).numpy()


@cache
def kernel_for(out: torch.dtype) -> _Kernel | None:
    """Compiled code that writes `out`; None without numba, or with one that this NumPy is too new for."""
    try:
        import numba
    except ImportError:
        return None
    bits, numbers = numba.uint16[::1], numba.float32[::1]
    into = bits if out == torch.bfloat16 else numbers
    signature = numba.void(bits, bits, bits, numba.float32, into)
    compiled: _Kernel = numba.njit(signature, nogil=True)(_loop(numba, as_bits=out == torch.bfloat16))
    return compiled


def _loop(numba: Any, *, as_bits: bool) -> Callable[..., None]:
    """The loop over elements, in what numba understands of Python."""
    import numpy as np

    def widen(bits: Any) -> Any:
        # A bfloat16 is the upper half of a float32.
        return np.uint32(np.uint32(bits) << 16).view(np.float32)

    def round_to_even(number: Any) -> Any:
        bits = np.float32(number).view(np.uint32)
        # Half of what is cut off, less a bit where the last kept bit is even: ties go to even. A NaN's lower
        # half is zero here, as it came from a bfloat16 or an operation, so that it stays one.
        return np.uint16(np.uint32(bits + np.uint32(0x7FFF) + np.uint32((bits >> 16) & 1)) >> 16)

    def stored(number: Any) -> Any:
        return round_to_even(number) if as_bits else widen(round_to_even(number))

    widen, round_to_even, stored = (numba.njit(function) for function in (widen, round_to_even, stored))

    def loop(target: Any, tuned: Any, base: Any, weight: Any, out: Any) -> None:
        for i in range(out.size):
            step = weight * (widen(tuned[i]) - widen(base[i]))
            out[i] = stored(widen(target[i]) + step)

    return loop
