"""Which sources stay on the device: as many bytes as there is room for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

Key = TypeVar("Key")

ALIGNMENT = 512
"""Bytes; a tensor begins at a multiple of it, as from torch's own allocator."""


def padded(size: int) -> int:
    """Bytes that a tensor of this size takes."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def choose_resident(sizes: Mapping[Key, int], room: int) -> tuple[Key, ...]:
    """The tensors that stay on the device, the largest first and of equal ones those that come first.

    What streams in each merge is what the time of a merge is made of, so bytes count and not tensors.

    Args:
        sizes: Bytes of each tensor.
        room: Bytes on the device.
    """
    chosen: list[Key] = []
    for key, size in sorted(sizes.items(), key=lambda item: -item[1]):
        if padded(size) <= room:
            chosen.append(key)
            room -= padded(size)
    return tuple(chosen)


def offsets(keys: tuple[Key, ...], sizes: Mapping[Key, int]) -> tuple[dict[Key, int], int]:
    """Where each tensor begins in one piece of memory for all of them, and how large that is."""
    found: dict[Key, int] = {}
    end = 0
    for key in keys:
        found[key] = end
        end += padded(sizes[key])
    return found, end


DEVICE_SPEED, HOST_SPEED = 1e12, 20e9
"""Bytes per second that estimates assume: of a GPU's memory, and of its bus to the host."""


def merge_seconds(resident: int, streamed: int, written: int) -> float:
    """Estimate how long a merge takes.

    Args:
        resident: Bytes of sources on the device.
        streamed: Bytes of sources that come from the host.
        written: Bytes of the merged model.
    """
    return (resident + streamed + written) / DEVICE_SPEED + streamed / HOST_SPEED
