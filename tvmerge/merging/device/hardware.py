"""What merging asks of an accelerator: memory, orders of work, and pages that it may read itself.

Everything else of this folder works with any implementation, so that it is tested without an accelerator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch


class RefusedError(Exception):
    """The system or the driver refuses something; says why."""


class Mark(Protocol):
    """A point in an order of work."""

    def wait(self) -> None:
        """Wait until the accelerator has come to it."""


class Order(Protocol):
    """Work that the accelerator does one after the other; what two orders do may overlap."""

    def run(self, work: Callable[[], None]) -> None:
        """Queue what `work` asks of the accelerator; it may be done only after this returns."""

    def mark(self) -> Mark:
        """The point behind all that is queued."""

    def after(self, mark: Mark) -> None:
        """Have what is queued from now on wait for a point in another order."""


class Device(Protocol):
    """An accelerator that holds a live model."""

    @property
    def place(self) -> torch.device:
        """Where its memory is."""

    def free(self) -> int:
        """Bytes that can be allocated there."""

    def total(self) -> int:
        """Bytes that it has."""

    def empty(self, size: int) -> torch.Tensor:
        """Bytes of its memory.

        Raises:
            torch.OutOfMemoryError: It has not that many.
        """

    def current(self) -> Order:
        """The order in which the calling thread's own work is done, such as the live model's."""

    def order(self) -> Order:
        """A new order."""

    def pinned(self, size: int) -> torch.Tensor:
        """Bytes of the host's memory that the accelerator reads itself.

        Raises:
            RefusedError: The system gives none.
        """

    def register(self, address: int, size: int) -> None:
        """Let the accelerator read pages of a mapped file itself, until `unregister`.

        Raises:
            RefusedError: The system or the driver does not allow it.
        """

    def unregister(self, address: int) -> None:
        """Undo `register`."""

    def give_back(self) -> None:
        """Give freed memory back to the device."""

    def synchronise(self) -> None:
        """Wait for all that is queued."""
