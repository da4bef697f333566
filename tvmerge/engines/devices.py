"""The devices that models run on."""

from __future__ import annotations

from tvmerge.errors import ConfigError


def resolve_device(name: str) -> str:
    """Return the device called `name`; `auto` is a GPU if there is one, else the CPU.

    Raises:
        ConfigError: There is no such device; the message lists those that exist.
    """
    import torch

    there = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if name == "auto":
        return there[-1] if len(there) == 1 else "cuda:0"
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in there:
        raise ConfigError(f"no device '{name}' on this machine; available: {', '.join(there)}")
    return wanted
