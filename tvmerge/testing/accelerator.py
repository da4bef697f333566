"""An accelerator in the host's memory, which does everything as late as it may: for tests of what uses one.

What is queued is done only when somebody waits for it, in an order drawn at random among those that the marks
allow. Memory that is used again too early then holds the wrong numbers.
"""

from __future__ import annotations

import mmap
import weakref
from collections.abc import Callable, Collection
from threading import RLock
from typing import Literal

import torch

from tvmerge.merging.device.hardware import Device, Mark, Order, RefusedError

_Step = Callable[[], None] | Mark
"""Work, or a mark that is waited for."""


class _Point:
    """A `Mark`."""

    def __init__(self, order: _Late, end: int) -> None:
        self.order, self.end = order, end

    @property
    def reached(self) -> bool:
        return self.order.done >= self.end

    def wait(self) -> None:
        self.order.device.do_until(lambda: self.reached)


class _Late:
    """An `Order` that begins nothing by itself."""

    def __init__(self, device: MemoryDevice) -> None:
        self.device = device
        self.steps: list[_Step] = []
        self.done = 0

    def run(self, work: Callable[[], None]) -> None:
        with self.device.lock:
            self.steps.append(work)

    def mark(self) -> Mark:
        with self.device.lock:
            return _Point(self, len(self.steps))

    def after(self, mark: Mark) -> None:
        with self.device.lock:
            self.steps.append(mark)

    @property
    def ready(self) -> bool:
        """Whether its next step may be done."""
        if self.done == len(self.steps):
            return False
        step = self.steps[self.done]
        return step.reached if isinstance(step, _Point) else True

    def do_one(self) -> None:
        step = self.steps[self.done]
        if not isinstance(step, _Point):
            assert callable(step)
            step()
            self.steps[self.done] = _nothing  # lets go of its memory
        self.done += 1


class _Current:
    """The calling thread's own work, which is done at once."""

    def __init__(self, device: MemoryDevice) -> None:
        self._device = device

    def run(self, work: Callable[[], None]) -> None:
        work()

    def mark(self) -> Mark:
        return _Point(_Late(self._device), 0)

    def after(self, mark: Mark) -> None:
        mark.wait()


class MemoryDevice:
    """A `Device`.

    Args:
        size: Bytes that it has.
        seed: Of the order in which things are done.
        refuses: What it does not allow.

    Attributes:
        used: Bytes that are allocated.
        registered: The pages that it may read: address -> bytes.
        waits: How often everything was waited for.
    """

    place = torch.device("cpu")

    def __init__(
        self, size: int = 2**40, *, seed: int = 0, refuses: Collection[Literal["pages", "pinned"]] = ()
    ) -> None:
        self.lock = RLock()
        self.used = 0
        self.waits = 0
        self.registered: dict[int, int] = {}
        self._size, self._refuses = size, refuses
        self._orders: list[_Late] = []
        self._random = torch.Generator().manual_seed(seed)

    def free(self) -> int:
        """Bytes left."""
        return self._size - self.used

    def total(self) -> int:
        """Bytes that it has."""
        return self._size

    def empty(self, size: int) -> torch.Tensor:
        """Bytes that count as its memory while they are referred to."""
        with self.lock:
            if size > self.free():
                raise torch.OutOfMemoryError(f"{size} bytes do not fit into {self.free()}")
            self.used += size
        memory = torch.full((size,), 0xFF, dtype=torch.uint8)
        weakref.finalize(memory.untyped_storage(), self._freed, size)
        return memory

    def current(self) -> Order:
        """What is done at once."""
        return _Current(self)

    def order(self) -> Order:
        """What is done late."""
        with self.lock:
            self._orders.append(_Late(self))
            return self._orders[-1]

    def pinned(self, size: int) -> torch.Tensor:
        """Plain memory."""
        if "pinned" in self._refuses:
            raise RefusedError("no pinned memory is left")
        return torch.zeros(size, dtype=torch.uint8)

    def register(self, address: int, size: int) -> None:
        """Take note of pages, which must be whole and new."""
        if "pages" in self._refuses:
            raise RefusedError("operation not supported")
        known = any(start < address + size and address < start + n for start, n in self.registered.items())
        if known or address % mmap.PAGESIZE:
            raise RefusedError("pages that are registered already, or parts of some")
        self.registered[address] = size

    def unregister(self, address: int) -> None:
        """Forget pages."""
        del self.registered[address]

    def give_back(self) -> None:
        """Nothing is held back."""

    def synchronise(self) -> None:
        """Do all that is queued."""
        self.waits += 1
        self.do_until(lambda: all(order.done == len(order.steps) for order in self._orders))

    def do_until(self, reached: Callable[[], bool]) -> None:
        """Do what is queued, one step at a time, until something holds."""
        with self.lock:
            while not reached():
                ready = [order for order in self._orders if order.ready]
                ready[int(torch.randint(len(ready), (), generator=self._random))].do_one()

    def _freed(self, size: int) -> None:
        with self.lock:
            self.used -= size


def _nothing() -> None:
    """What is done already."""


_device: type[Device] = MemoryDevice
