"""The devices that models run on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tvmerge.errors import ConfigError

DRIVERS = ("/proc/driver/nvidia", "/usr/lib/wsl/lib/libcuda.so.1")
"""Paths of an installed driver for GPUs of NVIDIA, on Linux and on WSL2."""


def resolve_device(name: str) -> str:
    """Return the device called `name`; `auto` is a GPU if there is one, else the CPU.

    Raises:
        ConfigError: There is no such device; the message lists those that exist, and why there is no GPU.
    """
    import torch

    there = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if name == "auto":
        return there[-1] if len(there) == 1 else "cuda:0"
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in there:
        why = f" ({_no_gpu()})" if len(there) == 1 and name.startswith("cuda") else ""
        raise ConfigError(f"no device '{name}' on this machine; available: {', '.join(there)}{why}")
    return wanted


def device_remarks(
    dtype: str, devices: Iterable[str], *, asked: str = "auto", emulates: bool = True
) -> list[str]:
    """Return what is slower on these devices than it could be, and why.

    Args:
        dtype: The dtype of computation.
        devices: The devices of all engines.
        asked: The device that the user named.
        emulates: Whether the engine computes in bfloat16 on GPUs without it.

    Raises:
        ConfigError: A GPU cannot compute in this dtype.
    """
    from tvmerge.pretrained.bfloat16 import has_bfloat16

    devices = list(dict.fromkeys(devices))
    if devices == ["cpu"]:
        has_driver = any(Path(path).exists() for path in DRIVERS)
        return [f"no GPU is used: {_no_gpu()}"] if asked == "auto" and has_driver else []
    without = [] if dtype != "bfloat16" else [device for device in devices if not has_bfloat16(device)]
    if without and not emulates:
        raise ConfigError(f"{', '.join(without)}: no bfloat16 on this GPU; pass --dtype float16")
    return [
        f"{device} emulates bfloat16, which is slow; --dtype float16 is faster there" for device in without
    ]


def _no_gpu() -> str:
    """Return why torch has no GPU."""
    import torch

    cuda: Any = torch.cuda
    if torch.version.cuda is None and torch.version.hip is None:
        return (
            f"torch {torch.__version__} is built for CPUs only; install a build for GPUs, see "
            "https://pytorch.org/get-started/locally"
        )
    try:
        cuda.init()
    except (RuntimeError, AssertionError) as error:  # a driver that is missing or too old
        return str(error).strip().partition("\n")[0].partition(". ")[0].rstrip(".")
    return "torch sees none; is CUDA_VISIBLE_DEVICES set?"
