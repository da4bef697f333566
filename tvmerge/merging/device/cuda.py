"""A GPU, through torch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch

from tvmerge.merging.device.hardware import Device, Mark, Order, RefusedError

_READ_ONLY = 0x08
"""`cudaHostRegisterReadOnly` of the CUDA runtime: the pages of a file that is not ours to write."""

_cuda: Any = torch.cuda


class _Stream:
    """An `Order`: a stream of the GPU."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def run(self, work: Callable[[], None]) -> None:
        with _cuda.stream(self._stream):
            work()

    def mark(self) -> Mark:
        event = _cuda.Event()
        event.record(self._stream)
        return _Event(event)

    def after(self, mark: Mark) -> None:
        assert isinstance(mark, _Event)
        self._stream.wait_event(mark.event)


class _Event:
    """A `Mark`."""

    def __init__(self, event: Any) -> None:
        self.event = event

    def wait(self) -> None:
        self.event.synchronize()


class Gpu:
    """A `Device`.

    Args:
        place: `cuda:N`.
    """

    def __init__(self, place: torch.device) -> None:
        self.place = place

    def free(self) -> int:
        """Bytes that the driver has, and those that torch holds without need."""
        held = _cuda.memory_reserved(self.place) - _cuda.memory_allocated(self.place)
        return int(_cuda.mem_get_info(self.place)[0] + held)

    def total(self) -> int:
        """Bytes that it has."""
        return int(_cuda.mem_get_info(self.place)[1])

    def empty(self, size: int) -> torch.Tensor:
        """Memory from torch's allocator, behind the calling thread's own work."""
        return torch.empty(size, dtype=torch.uint8, device=self.place)

    def current(self) -> Order:
        """The calling thread's stream."""
        return _Stream(_cuda.current_stream(self.place))

    def order(self) -> Order:
        """A new stream."""
        return _Stream(_cuda.Stream(self.place))

    def pinned(self, size: int) -> torch.Tensor:
        """Memory that is not swapped out."""
        try:
            return torch.empty(size, dtype=torch.uint8, pin_memory=True)
        except RuntimeError as error:
            self.forget_error()
            raise RefusedError(_first_line(error)) from error

    def register(self, address: int, size: int) -> None:
        """Pin pages of a mapped file."""
        runtime = _cuda.cudart()
        with _cuda.device(self.place):  # the thread's own may be another GPU
            code = int(runtime.cudaHostRegister(address, size, _READ_ONLY))
        if code:
            self.forget_error()
            raise RefusedError(f"{runtime.cudaGetErrorString(runtime.cudaError(code))} (CUDA error {code})")

    def unregister(self, address: int) -> None:
        """Unpin them."""
        with _cuda.device(self.place):
            code = int(_cuda.cudart().cudaHostUnregister(address))
        if code:
            raise RuntimeError(f"CUDA error {code} for pages that were registered")

    def give_back(self) -> None:
        """Empty torch's cache."""
        _cuda.empty_cache()

    def synchronise(self) -> None:
        """Wait for the GPU."""
        _cuda.synchronize(self.place)

    def forget_error(self) -> None:
        """Take away the error of a refused call, which the runtime reports again at the next launch."""
        with suppress(RuntimeError):
            torch.zeros(1, device=self.place)


def open_device(place: torch.device) -> Device | None:
    """The GPU on which memory is; None for memory elsewhere."""
    return Gpu(place) if place.type == "cuda" else None


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
