"""The sources of a merge: as many as there is room for stay on the device, the others stream to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from functools import partial

import torch

from tvmerge._util.host_memory import available_memory
from tvmerge.merging.checkpoints.shards import Extent
from tvmerge.merging.deltas import Operand, as_rows
from tvmerge.merging.device.hardware import Device, Mark, RefusedError
from tvmerge.merging.device.pages import RegisteredFiles
from tvmerge.merging.device.residency import choose_resident, offsets, padded
from tvmerge.merging.device.sums import Elements, whole_pieces
from tvmerge.merging.device.transfers import PAGEABLE, REGISTERED, RINGS, STAGING, Piece, Transfers
from tvmerge.merging.dtypes import torch_dtype
from tvmerge.merging.plan import Row

SHARE_OF_HOST = 0.75
"""Of the host's free memory, what the pages of files may take for good that a device reads itself."""

_Key = tuple[int, str]


def source_key(operand: Operand) -> _Key:
    """What tells a source from others: a tensor that plays several parts is one."""
    return id(operand.checkpoint), operand.name


def source_sizes(rows: Iterable[Row]) -> dict[_Key, int]:
    """Bytes of every tensor that rows are made from, each once."""
    return {
        source_key(operand): operand.checkpoint.specs[operand.name].nbytes
        for row in rows
        for operand in row.operands
    }


class DeviceSources:
    """The tensors that rows are made from, for one device.

    Args:
        device: The device.
        rows: The rows.
        room: Bytes there that they may take.
        tell: Told in a line what is slower than it could be, and why.

    Raises:
        torch.OutOfMemoryError: There is no memory for what streams.
    """

    def __init__(self, device: Device, rows: Sequence[Row], room: int, tell: Callable[[str], None]) -> None:
        self._device, self._tell = device, tell
        self._operands = {source_key(operand): operand for row in rows for operand in row.operands}
        self._sizes = source_sizes(rows)
        self._room = room
        self._memory = device.empty(0)
        self._begin: dict[_Key, int] = {}
        self._files: RegisteredFiles | None = None
        self._transfers: Transfers | None = None
        self._settle()

    @property
    def resident(self) -> int:
        """Bytes that stay on the device."""
        return sum(self._sizes[key] for key in self._begin)

    def elements(self, operand: Operand) -> Elements:
        """All elements of a source, where they are."""
        dtype = torch_dtype(operand.checkpoint.specs[operand.name].dtype)
        begin = self._begin.get(source_key(operand))
        there = None if begin is None else self._resident_bytes(source_key(operand)).view(dtype)
        return Elements(there, partial(self._on_host, operand), dtype)

    def submit(self, piece: Piece) -> Future[Mark]:
        """Send a piece of what streams."""
        assert self._transfers is not None
        return self._transfers.submit(piece)

    def shrink(self) -> bool:
        """Keep half as much on the device as before; nothing may be in work.

        Returns:
            Whether there was anything to let go of.
        """
        kept = self.resident
        if not kept:
            return False
        self._room = kept // 2
        self.close()
        self._tell(
            f"{self._device.place} is out of memory: at most {self._room / 2**30:.1f} GiB of the sources "
            "stay there, the rest streams in each merge"
        )
        self._settle()
        return True

    def close(self) -> None:
        """Let go of all memory; nothing may be in work."""
        self._device.synchronise()  # where bringing them there failed, some may be on their way
        if self._transfers is not None:
            self._transfers.close()
        if self._files is not None:
            self._files.close()
        self._transfers = self._files = None
        self._begin = {}
        self._memory = self._device.empty(0)
        self._device.give_back()

    def _settle(self) -> None:
        """Decide what stays, bring it there and find the way for the rest; less where memory runs out."""
        while not self._try_to_settle():
            kept = self.resident
            self.close()
            if not kept:
                raise torch.OutOfMemoryError(f"{self._device.place} has no memory for sources that stream")
            self._room = kept * 9 // 10

    def _try_to_settle(self) -> bool:
        streams = sum(map(padded, self._sizes.values())) > self._room
        room = max(0, self._room - STAGING) if streams else self._room
        self._begin, size = offsets(choose_resident(self._sizes, room), self._sizes)
        away = [operand for key, operand in self._operands.items() if key not in self._begin]
        try:
            self._memory = self._device.empty(size)
            if size:
                self._fill()
            if away:
                self._transfers = self._open_way(away)
        except torch.OutOfMemoryError:
            return False
        return True

    def _fill(self) -> None:
        self._device.synchronise()  # whoever had the memory before has done with it
        with self._rings(staging=False) as transfers:
            sent = [
                transfers.submit(piece)
                for key in self._begin
                for piece in whole_pieces(self._on_host(self._operands[key]), self._resident_bytes(key))
            ]
            for future in sent:
                self._device.current().after(future.result())
            self._device.synchronise()

    def _open_way(self, away: Sequence[Operand]) -> Transfers:
        """The fastest way that is allowed for the sources that do not stay."""
        try:
            self._files = RegisteredFiles(self._device, self._extents(away))
        except RefusedError as error:
            self._tell(f"{self._device.place} cannot read the models' files itself, which is slower: {error}")
            return self._rings(staging=True)
        return Transfers(self._device, REGISTERED)

    def _rings(self, *, staging: bool) -> Transfers:
        try:
            return Transfers(self._device, RINGS, staging=staging)
        except RefusedError as error:
            self._tell(f"copying to {self._device.place} without pinned memory, which is slower: {error}")
            return Transfers(self._device, PAGEABLE, staging=staging)

    def _extents(self, away: Sequence[Operand]) -> list[Extent]:
        extents = [operand.checkpoint.extent(operand.name) for operand in away]
        known = [extent for extent in extents if extent is not None]
        if len(known) < len(extents):
            raise RefusedError("pickled weights are no plain files of tensors")
        size, free = sum(extent.size for extent in known), available_memory()
        if free is not None and size > SHARE_OF_HOST * free:
            raise RefusedError(
                f"they would take {size / 2**30:.1f} GiB of {free / 2**30:.1f} GiB of free memory"
            )
        return known

    def _resident_bytes(self, key: _Key) -> torch.Tensor:
        begin = self._begin[key]
        return self._memory[begin : begin + self._sizes[key]]

    def _on_host(self, operand: Operand) -> torch.Tensor:
        """All bytes of a source, in the mapped file."""
        extent = operand.checkpoint.extent(operand.name) if self._files is not None else None
        if self._files is not None and extent is not None:
            return self._files.bytes_of(extent)
        return operand.checkpoint.tensor(operand.name).contiguous().reshape(-1).view(torch.uint8)


def rows_on_device(operand: Operand, there: torch.Tensor) -> torch.Tensor:
    """A source's elements on a device as rows."""
    return as_rows(there.view(operand.checkpoint.specs[operand.name].shape))
