"""Numbers that float16 cannot hold: what is fine in bfloat16 becomes an infinity there."""

from __future__ import annotations

import math

import torch

from tvmerge.errors import CandidateError

LIMIT = 65520.0
"""What float16 rounds to an infinity; the largest number below that it has is 65504."""


def limit_of(dtype: torch.dtype | None) -> float:
    """Sizes from which on numbers become infinities in `dtype`; None stands for formats of the sources.

    bfloat16 reaches as far as float32, so that only float16 has a limit that weights come near.
    """
    return LIMIT if dtype == torch.float16 else math.inf


def check_merged(name: str, rows: torch.Tensor) -> None:
    """Check that rows of a merged tensor, rounded to float16, are numbers.

    Raises:
        CandidateError: Some are not.
    """
    if rows.numel() and not all(math.isfinite(bound.item()) for bound in torch.aminmax(rows)):
        raise CandidateError(
            f"with these weights '{name}' would hold infinities, as float16 ends at 65504; pass --dtype "
            "bfloat16 or float32"
        )
