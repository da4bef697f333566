"""Which GPUs compute in bfloat16."""

from __future__ import annotations

import torch

FIRST = (8, 0)
"""The first compute capability of CUDA with bfloat16."""


def has_bfloat16(device: str) -> bool:
    """Return whether a device computes in bfloat16 itself; torch emulates it on older GPUs."""
    return device == "cpu" or torch.cuda.get_device_capability(device) >= FIRST
