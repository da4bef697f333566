"""Checks for merged numbers that their dtype cannot represent."""

from __future__ import annotations

import math

import torch

from tvmerge.errors import CandidateError, CheckpointError

LIMIT = 65520.0
"""The smallest number that float16 rounds to infinity; its largest finite number is 65504."""


def limit_of(dtype: torch.dtype | None) -> float:
    """Return the magnitude from which numbers become infinite in `dtype`; None is the sources' dtype.

    bfloat16 has the range of float32, so only float16 has a limit that weights may reach.
    """
    return LIMIT if dtype == torch.float16 else math.inf


def check_merged(name: str, rows: torch.Tensor) -> None:
    """Check that the rows of a merged tensor are finite in float16.

    Raises:
        CandidateError: Some are not.
    """
    if rows.numel() and not all(math.isfinite(bound.item()) for bound in torch.aminmax(rows)):
        raise overflow_error(name)


def check_written(name: str, tensor: torch.Tensor) -> None:
    """Check that a merged tensor that is about to be written is finite, whatever its dtype.

    Raises:
        CheckpointError: It is not.
    """
    if tensor.numel() and not all(math.isfinite(bound.item()) for bound in torch.aminmax(tensor)):
        raise CheckpointError(
            f"with these weights '{name}' would hold NaN or infinities; choose smaller weights, or an "
            "adapter with a smaller lora_alpha"
        )


def overflow_error(name: str) -> CandidateError:
    """That a merged tensor would hold infinities."""
    return CandidateError(
        f"with these weights '{name}' would hold infinities, as float16 ends at 65504; pass --dtype "
        "bfloat16 or float32"
    )
