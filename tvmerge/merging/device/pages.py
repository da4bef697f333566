"""Weight files mapped for an accelerator to read: it copies from the system's page cache without a detour."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tvmerge.merging.checkpoints.shards import Extent
from tvmerge.merging.device.hardware import Device, RefusedError

Span = tuple[int, int]
"""First byte, and the one behind the last."""


def page_spans(extents: Iterable[Span], page: int, end: int) -> list[Span]:
    """The pages that hold spans of a file, neighbours as one: no page may be registered two times.

    Args:
        extents: Spans of the file, in any order.
        page: Bytes of a page.
        end: Bytes of the file.
    """
    found: list[Span] = []
    for first, last in sorted(extents):
        start, stop = first // page * page, min(-(-last // page) * page, end)
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], stop))
        elif stop > start:
            found.append((start, stop))
    return found


class RegisteredFiles:
    """Mapped files whose pages a device reads itself, until `close`.

    The mapping is shared and read-only: of a private one a system may copy every page that is pinned.

    Args:
        device: What reads them.
        extents: The parts of the files that it reads.

    Raises:
        RefusedError: The device or the system does not allow it; nothing is registered then.
    """

    def __init__(self, device: Device, extents: Sequence[Extent]) -> None:
        self._device = device
        self._bytes: dict[Path, torch.Tensor] = {}
        self._registered: list[int] = []
        try:
            for path, spans in _by_file(extents).items():
                self._register(path, spans)
        except RefusedError:
            self.close()
            raise

    def bytes_of(self, extent: Extent) -> torch.Tensor:
        """A part of a file; nobody writes to it."""
        return self._bytes[extent.path][extent.start : extent.start + extent.size]

    def close(self) -> None:
        """Undo it all."""
        while self._registered:
            self._device.unregister(self._registered.pop())
        self._bytes.clear()

    def _register(self, path: Path, spans: Sequence[Span]) -> None:
        try:
            with path.open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise RefusedError(f"{path}: {error.strerror}") from error
        self._bytes[path] = _as_tensor(mapped)
        address = self._bytes[path].data_ptr()
        for start, stop in page_spans(spans, mmap.PAGESIZE, len(mapped)):
            self._device.register(address + start, stop - start)
            self._registered.append(address + start)


def _by_file(extents: Iterable[Extent]) -> Mapping[Path, list[Span]]:
    found: dict[Path, list[Span]] = {}
    for extent in extents:
        found.setdefault(extent.path, []).append((extent.start, extent.start + extent.size))
    return found


def _as_tensor(mapped: mmap.mmap) -> torch.Tensor:
    """A tensor over mapped memory. torch warns of memory that must not be written, and nobody writes here."""
    shown = np.frombuffer(mapped, dtype=np.uint8)
    block: Any = (ctypes.c_uint8 * len(shown)).from_address(shown.ctypes.data)
    block.mapped = shown  # keeps the mapping as long as the tensor
    return torch.frombuffer(block, dtype=torch.uint8)
