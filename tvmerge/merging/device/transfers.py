"""Bytes on their way to a device, a piece at a time, in a few lanes that overlap.

A lane has an order of work and memory of its own on the device. What is copied there and what is made of it
are queued in the lane's order, so that the next piece overwrites nothing that is still read. With a ring, a
piece goes through a fixed part of pinned memory: that is filled again when the device has copied it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Self

import numpy as np
import torch

from tvmerge.merging.device.hardware import Device, Mark, Order
from tvmerge.merging.device.residency import padded


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How bytes get to the device.

    Attributes:
        threads: What prepares and queues pieces.
        lanes: Pieces under way at once.
        ring: Whether each goes through pinned memory.
    """

    threads: int
    lanes: int
    ring: bool


PIECE = 2**25
"""Bytes under way in a lane."""

REGISTERED = Way(threads=2, lanes=4, ring=False)
"""The device reads the pages of the files itself."""

RINGS = Way(threads=8, lanes=12, ring=True)
"""Copied into pinned memory first, 384 MiB of it, by threads that a few cores keep up with."""

PAGEABLE = Way(threads=2, lanes=2, ring=False)
"""The driver copies through memory of its own, and the caller waits."""

STAGING = max(way.lanes for way in (REGISTERED, RINGS, PAGEABLE)) * PIECE
"""Bytes of the device that lanes take at most."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes that are copied together.

    Attributes:
        copies: Bytes on the host, and where they go; None: into the lane's own memory. All that goes there
            fits into `PIECE`.
        then: What is done with them, given what is in the lane's own memory; None: nothing.
        after: What must have been done before.
    """

    copies: Sequence[tuple[torch.Tensor, torch.Tensor | None]]
    then: Callable[[Sequence[torch.Tensor]], None] | None = None
    after: Mark | None = None


@dataclass(slots=True)
class _Lane:
    order: Order
    staging: torch.Tensor
    ring: torch.Tensor | None
    read: Mark | None = None


class Transfers:
    """Lanes of a device.

    Args:
        device: The device.
        way: How the bytes get there.
        staging: Whether lanes have memory of their own on the device.

    Raises:
        RefusedError: The system gives no pinned memory for the rings.
        torch.OutOfMemoryError: The device has no memory for the lanes.
    """

    def __init__(self, device: Device, way: Way, *, staging: bool = True) -> None:
        self._lanes: SimpleQueue[_Lane] = SimpleQueue()
        for _ in range(way.lanes):
            ring = device.pinned(PIECE) if way.ring else None
            own = device.empty(PIECE if staging else 0)
            self._lanes.put(_Lane(device.order(), own, ring))
        device.synchronise()  # nobody else uses the lanes' memory any more
        self._threads = ThreadPoolExecutor(way.threads, "transfer")

    def submit(self, piece: Piece) -> Future[Mark]:
        """Send a piece; when that is queued, the mark behind it is the result."""
        return self._threads.submit(self._send, piece)

    def close(self) -> None:
        """Let go of the lanes' memory; all pieces must have arrived."""
        self._threads.shutdown()
        while not self._lanes.empty():
            self._lanes.get()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, piece: Piece) -> Mark:
        lane = self._lanes.get()
        try:
            if lane.read is not None:
                lane.read.wait()  # the device has copied what the ring held
            if piece.after is not None:
                lane.order.after(piece.after)
            staged = self._copy(piece, lane)
            lane.read = lane.order.mark() if lane.ring is not None else None
            if piece.then is not None:
                lane.order.run(partial(piece.then, staged))
            return lane.order.mark()
        finally:
            self._lanes.put(lane)

    def _copy(self, piece: Piece, lane: _Lane) -> list[torch.Tensor]:
        staged: list[torch.Tensor] = []
        at = 0
        for source, into in piece.copies:
            place = slice(at, at + source.numel())
            given = source if lane.ring is None else copy_on_host(lane.ring[place], source)
            there = lane.staging[place] if into is None else into
            lane.order.run(partial(_copy_bytes, there, given))
            if into is None:
                staged.append(there)
            at += padded(source.numel())
        return staged


def copy_on_host(ring: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    """Fill a part of a ring in the calling thread alone: torch would divide each copy among all cores."""
    np.copyto(ring.numpy(), source.numpy())
    return ring


def _copy_bytes(there: torch.Tensor, given: torch.Tensor) -> None:
    there.copy_(given, non_blocking=True)
