"""Merges beside a live model on an accelerator, whole tensors at a time, and waits once at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import torch

from tvmerge.merging.device.hardware import Device
from tvmerge.merging.device.sources import DeviceSources
from tvmerge.merging.device.work import WORKERS, OneMerge, Wanted, no_memory
from tvmerge.merging.kernels.fused import Add, FusedSum
from tvmerge.merging.plan import Row

AHEAD = 2**28
"""Bytes of tensors that may be in work at once beyond the one that is waited for."""

RESERVE = 0.25
"""Share of a device's memory that sources leave free where nobody says how much a model needs to answer."""


class DeviceMerger:
    """Makes rows of a plan on the device on which the live model is.

    Args:
        device: The device.
        rows: All rows of the plan.
        room: Bytes there that sources may take; None: all that is free but `RESERVE`.
        tell: Told in a line what is slower than it could be, and why.
        kernel: Gives what makes plain sums; None: the Triton kernel.
    """

    def __init__(
        self,
        device: Device,
        rows: Sequence[Row],
        *,
        room: int | None,
        tell: Callable[[str], None],
        kernel: Callable[[], Add] | None = None,
    ) -> None:
        self._device, self._rows, self._room = device, rows, room
        self._tell, self._told = tell, set[str]()
        self._fused = FusedSum(device.place, self._tell_once, kernel)
        self._sources: DeviceSources | None = None
        self._lock = Lock()

    def merge(self, wanted: Iterable[Wanted]) -> Iterator[tuple[str, torch.Tensor]]:
        """Make tensors. What the caller queues on the device after it was given one finds it complete.

        Raises:
            CandidateError: At the end: a merged number is too large for float16.
            CheckpointError: The device has no memory for a merge.
        """
        with self._lock, ThreadPoolExecutor(WORKERS, "merge") as workers:
            merge = OneMerge(self._device, self._open(), self._fused, workers, len(self._rows))
            try:
                for one in wanted:
                    merge.start(one)
                    while merge.ahead > AHEAD:
                        yield merge.finish()
                while merge.pending:
                    yield merge.finish()
            finally:
                merge.wait()
            merge.check()

    def close(self) -> None:
        """Free what is held on the device; a later merge brings it there again."""
        with self._lock:
            if self._sources is not None:
                self._sources.close()
            self._sources = None

    def _open(self) -> DeviceSources:
        if self._sources is None:
            self._device.give_back()
            free = self._device.free()
            room = int(free - RESERVE * self._device.total()) if self._room is None else min(self._room, free)
            try:
                self._sources = DeviceSources(self._device, self._rows, max(0, room), self._tell_once)
            except torch.OutOfMemoryError as error:
                raise no_memory(self._device) from error
        return self._sources

    def _tell_once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._tell(line)
