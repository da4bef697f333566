"""One merge beside a live model: what is queued on the device for each tensor, and one wait at the end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from queue import SimpleQueue
from typing import TypeVar

import torch

from tvmerge.errors import CheckpointError
from tvmerge.merging.deltas import Operand, as_rows
from tvmerge.merging.device.hardware import Device, Mark, Order
from tvmerge.merging.device.sources import DeviceSources, rows_on_device, source_key
from tvmerge.merging.device.sums import PlainSum, pieces, plain_sum, whole_pieces
from tvmerge.merging.device.transfers import STAGING, Piece
from tvmerge.merging.kernels.arithmetic import merge_rows
from tvmerge.merging.kernels.fused import FusedSum
from tvmerge.merging.kernels.vector_sum import flag_infinities
from tvmerge.merging.overflow import overflow_error
from tvmerge.merging.plan import Row

T = TypeVar("T")
_Key = tuple[int, str]

CHUNK = 2**22
"""Elements of a row that torch's operations work on at a time, where no kernel makes all of it."""

WORKERS = 4
"""Rows that torch's operations make at once: what is drawn at random is drawn on the CPU."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A tensor to be made.

    Attributes:
        row: What it is made from.
        values: The recipe.
        out: Where it goes, on the device.
        rounded: What each element is rounded to, whatever `out` holds.
    """

    row: Row
    values: Mapping[str, float]
    out: torch.Tensor
    rounded: torch.dtype


@dataclass(slots=True)
class _Started:
    """A tensor in work: what is queued for it, and memory that is in use until it has been done."""

    wanted: Wanted
    number: int
    queued: list[Future[Mark]] = field(default_factory=list)
    held: list[torch.Tensor] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes that are taken for it."""
        return self.wanted.out.nbytes + sum(tensor.nbytes for tensor in self.held) if self.queued else 0

    def marks(self) -> list[Mark]:
        """The points behind all that is queued for it, once it is queued.

        Raises:
            torch.OutOfMemoryError: There was no memory to do so.
        """
        return [future.result() for future in self.queued]


class OneMerge:
    """One merge: what is in work, in the order in which it was asked for."""

    def __init__(
        self,
        device: Device,
        sources: DeviceSources,
        fused: FusedSum,
        workers: ThreadPoolExecutor,
        count: int,
    ) -> None:
        self.pending: deque[_Started] = deque()
        self._device, self._sources, self._fused, self._workers = device, sources, fused, workers
        self._names: list[str] = []
        self._flags = torch.zeros(count, dtype=torch.int32, device=device.place)
        self._current = device.current()
        self._orders: SimpleQueue[Order] = SimpleQueue()
        for _ in range(WORKERS):
            self._orders.put(device.order())

    @property
    def ahead(self) -> int:
        """Bytes in work."""
        return sum(started.size for started in self.pending)

    def start(self, wanted: Wanted) -> None:
        """Take a tensor into work."""
        self._names.append(wanted.row.name)
        self.pending.append(self._start(wanted, len(self._names) - 1))

    def finish(self) -> tuple[str, torch.Tensor]:
        """The oldest tensor in work; the calling thread's own work on the device will find it complete."""
        while (marks := _unless_out_of_memory(self.pending[0].marks)) is None:
            self._make_room()
            failed = self.pending[0]
            failed.queued.clear()
            self.pending[0] = self._start(failed.wanted, failed.number)
        started = self.pending.popleft()
        for mark in marks:
            self._current.after(mark)
        # Only now: what takes this memory next is queued behind those marks.
        started.held.clear()
        return started.wanted.row.name, started.wanted.out

    def wait(self) -> None:
        """Wait for all that is in work, the only time in a merge."""
        wait([future for started in self.pending for future in started.queued])
        self._device.synchronise()

    def check(self) -> None:
        """Check that all numbers were finite where float16 is what they are rounded to.

        Raises:
            CandidateError: Some were not.
        """
        for name, flag in zip(self._names, self._flags.tolist(), strict=False):
            if flag:
                raise overflow_error(name)

    def _start(self, wanted: Wanted, number: int) -> _Started:
        while (started := _unless_out_of_memory(partial(self._queue, wanted, number))) is None:
            self._make_room()
        return started

    def _make_room(self) -> None:
        self.wait()
        if not _unless_out_of_memory(self._sources.shrink):
            raise no_memory(self._device)

    def _queue(self, wanted: Wanted, number: int) -> _Started:
        plain = plain_sum(wanted.row, wanted.values)
        if plain is None or wanted.out.numel() == 0:
            return self._queue_row(_Started(wanted, number))
        operands = [self._sources.elements(operand) for operand in plain.operands]
        add = partial(self._add, plain, wanted, self._flags[number : number + 1])
        size = wanted.out.numel()
        started = _Started(wanted, number)
        there = [operand.there for operand in operands if operand.there is not None]
        if len(there) == len(operands):
            self._current.run(partial(add, slice(0, size), there))
        else:
            before = self._current.mark()
            started.queued = [
                self._sources.submit(replace(piece, after=before)) for piece in pieces(operands, size, add)
            ]
        return started

    def _add(
        self,
        plain: PlainSum,
        wanted: Wanted,
        flag: torch.Tensor,
        part: slice,
        tensors: Sequence[torch.Tensor],
    ) -> None:
        self._fused.add(plain.over(tensors, wanted.out.view(-1)[part], wanted.rounded, flag))

    def _queue_row(self, started: _Started) -> _Started:
        """Anything else than a plain sum: by torch's operations, once its sources are there."""
        there: dict[_Key, torch.Tensor] = {}
        arriving: list[Piece] = []
        for operand in started.wanted.row.operands:
            found = self._sources.elements(operand)
            if found.there is None and source_key(operand) not in there:
                stream = found.bytes()
                into = self._device.empty(stream.numel())
                arriving += whole_pieces(stream, into)
                started.held.append(into)
                there[source_key(operand)] = into.view(found.dtype)
            elif found.there is not None:
                there[source_key(operand)] = found.there
        # Only now that there is memory for all of them: what is sent must be waited for.
        before = self._current.mark()
        sent = [self._sources.submit(replace(piece, after=before)) for piece in arriving]
        started.queued = [*sent, self._workers.submit(self._make_row, started, there, sent, before)]
        return started

    def _make_row(
        self,
        started: _Started,
        there: Mapping[_Key, torch.Tensor],
        arriving: Sequence[Future[Mark]],
        before: Mark,
    ) -> Mark:
        order = self._orders.get()
        try:
            for mark in (before, *(future.result() for future in arriving)):
                order.after(mark)
            order.run(partial(_merge_row, started.wanted, there, self._flags[started.number]))
            return order.mark()
        finally:
            self._orders.put(order)


def _merge_row(wanted: Wanted, there: Mapping[_Key, torch.Tensor], flag: torch.Tensor) -> None:
    def rows_of(operand: Operand) -> torch.Tensor:
        return rows_on_device(operand, there[source_key(operand)])

    row, rows, whole = wanted.row, as_rows(wanted.out), slice(0, wanted.row.shape[0])
    merge_rows(row, wanted.values, rows, wanted.rounded, whole, rows_of=rows_of, chunk_size=CHUNK)
    if wanted.rounded == torch.float16:
        flag_infinities(rows, flag)


def _unless_out_of_memory(work: Callable[[], T]) -> T | None:
    """What `work` gives; None where memory ran out, and then the tensors of its frames are gone."""
    with suppress(torch.OutOfMemoryError):
        return work()
    return None


def no_memory(device: Device) -> CheckpointError:
    """That a merge does not fit beside the model."""
    return CheckpointError(
        f"{device.place} has no memory left to merge beside the model: {STAGING / 2**20:.0f} MiB would do "
        "for most; lower --batch-tokens, take a smaller --dtype, or free memory of the device"
    )
