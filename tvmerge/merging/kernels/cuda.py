"""Merging beside a live model on an accelerator: the sources stay there where they fit, else they stream in.

Each part of a tensor has a stream of the accelerator to itself while it is made. So one worker's part is on
its way there while another's is computed and a third's is read from the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache
from queue import SimpleQueue
from typing import Any

import torch

from tvmerge.merging.deltas import Operand
from tvmerge.merging.kernels.fast_path import FastPath
from tvmerge.merging.kernels.parallel import WORKERS

RESERVE = 0.25
"""Share of an accelerator's memory that the sources leave free, for what a model needs to answer."""

Lane = Callable[[], AbstractContextManager[None]]
"""Gives a place in which work is ordered, and is done when it is left."""
_Sources = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Rows of target, tuned and base."""

_Key = tuple[int, str, int]
"""A part of a source: its checkpoint, its tensor, its first row."""

_Kernel = Callable[[_Sources, float, torch.Tensor], None]


PADDING = 1.25
"""Memory that parts of a source take over their size: torch's allocator serves two of them from 20 MiB."""


class DeviceMerger:
    """Merges rows on the device on which the live model is.

    Args:
        device: The device.
        sources: All tensors that merges read; they are kept on the device if `room` is large enough.
        room: Bytes there that they may take.
        lane: Where a part is worked on.
    """

    def __init__(self, device: torch.device, sources: Iterable[Operand], room: int, lane: Lane) -> None:
        needed = {(id(s.checkpoint), s.name): s.checkpoint.specs[s.name].nbytes for s in sources}
        self.keeps = PADDING * sum(needed.values()) <= room
        self._device = device
        self._lane = lane
        self._kept: dict[_Key, torch.Tensor] = {}

    def merge(self, row: FastPath, out: torch.Tensor, dtype: torch.dtype, part: slice) -> None:
        """Merge rows of one tensor; they are there when this returns.

        Args:
            row: The tensor.
            out: Memory for the whole tensor as rows, on the device.
            dtype: What each element is rounded to, whatever `out` holds.
            part: Which rows, the same slices in every merge.
        """
        copied: dict[_Key, torch.Tensor] = {}
        with self._lane():
            target, tuned, base = (self._there(operand, part, copied) for operand in row.operands)
            _write((target, tuned, base), row.weight, out[part], dtype)
        if self.keeps:
            # Not before the lane's work has ended: another lane would read what has not arrived yet.
            self._kept |= copied

    def _there(self, operand: Operand, part: slice, copied: dict[_Key, torch.Tensor]) -> torch.Tensor:
        """Rows of a source, on the device; new ones are entered in `copied`."""
        key = id(operand.checkpoint), operand.name, part.start
        if (kept := self._kept.get(key)) is not None:
            return kept
        rows = operand.rows()[part]
        # Only memory that cannot be swapped is copied while the processor does something else. torch gives
        # it to nobody else before the copy has ended.
        staged = torch.empty(rows.shape, dtype=rows.dtype, pin_memory=self._device.type == "cuda")
        return copied.setdefault(key, staged.copy_(rows).to(self._device, non_blocking=True))


def on_cuda(device: torch.device, sources: Iterable[Operand]) -> DeviceMerger:
    """A merger for a model that is on a GPU already."""
    free, total = torch.cuda.mem_get_info(device)
    return DeviceMerger(device, sources, int(free - RESERVE * total), _streams(device))


def _streams(device: torch.device) -> Lane:
    """A stream for each worker, lent to a part at a time: memory freed in a stream is reused in it alone."""
    make: Any = torch.cuda.Stream
    idle: SimpleQueue[Any] = SimpleQueue()
    for _ in range(WORKERS):
        idle.put(make(device))

    @contextmanager
    def lane() -> Iterator[None]:
        stream = idle.get()
        try:
            # The model may still be answering with what is about to be overwritten.
            stream.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(stream):
                yield
            stream.synchronize()
        finally:
            idle.put(stream)

    return lane


def _write(sources: _Sources, weight: float, out: torch.Tensor, dtype: torch.dtype) -> None:
    kernel = None
    if out.is_cuda and out.dtype == dtype and out.is_contiguous():
        kernel = _compiled(tuple(rows.dtype for rows in sources), dtype, out.device)
    if kernel is None:
        out.copy_(added(sources, weight, dtype))
    else:
        kernel(sources, weight, out)


def added(sources: _Sources, weight: float, dtype: torch.dtype) -> torch.Tensor:
    """The expression with an operation of torch for each of its own: in float32, then rounded to `dtype`."""
    target, tuned, base = (rows.float() for rows in sources)
    return (target + (tuned - base) * weight).to(dtype)


@cache
def _compiled(formats: tuple[torch.dtype, ...], out: torch.dtype, device: torch.device) -> _Kernel | None:
    """The expression as one kernel; None where Triton cannot make it, or makes other numbers of a sample."""
    drawn = torch.randn(3, 2**16, generator=torch.Generator().manual_seed(0)).to(device)
    target, tuned, base = (rows.to(dtype) for rows, dtype in zip(drawn, formats, strict=True))
    made = torch.empty(2**16, dtype=out, device=device)
    with suppress(Exception):  # whatever Triton lacks on a machine, torch can do without it
        from tvmerge.merging.kernels.triton import merge_elements

        merge_elements((target, tuned, base), 0.7, made)
        if torch.equal(made, added((target, tuned, base), 0.7, out)):
            return merge_elements
    return None
