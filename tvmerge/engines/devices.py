"""The devices that models run on."""

from __future__ import annotations

from tvmerge.errors import ConfigError


def resolve_device(name: str) -> str:
    """The device called `name`; `auto` takes a GPU where there is one.

    Raises:
        ConfigError: There is no such device; names those there are.
    """
    import torch

    there = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if name == "auto":
        return there[-1] if len(there) == 1 else "cuda:0"
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in there:
        raise ConfigError(f"no device '{name}' here; there is: {', '.join(there)}")
    return wanted
