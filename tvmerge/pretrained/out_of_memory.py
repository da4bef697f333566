"""Recognizes that memory ran out, whichever library says so."""

from __future__ import annotations

import torch

_MESSAGES = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")
"""Text in the RuntimeErrors of CUDA, torch's CPU allocator, cuBLAS and cuDNN, in lower case."""


def ran_out(error: BaseException) -> bool:
    """Return whether `error` means that memory ran out, on a GPU or not."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(message in text for message in _MESSAGES)


def free_cached() -> None:
    """Give memory that torch caches back to the GPUs.

    Call it after the `except` block, since the error keeps the tensors in its frames alive.
    """
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
