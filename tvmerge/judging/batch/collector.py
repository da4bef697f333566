"""Collects requests until no more are expected, then sends them together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from tvmerge.judging.batch.batching import Batching
from tvmerge.judging.batch.slot import Slot


class Collector:
    """Launches a batch when no request was added for a while, or when there are enough for a full batch.

    It also waits while answers are being generated (`Batching.hold`), so that the requests of a window of
    trials are sent together.

    Args:
        batching: Says how long to wait, and whether more requests are expected.
        launch: Called with the requests of a batch.
        most_requests: Maximum number of requests in a batch.
        most_bytes: Maximum size of a batch in bytes.
    """

    def __init__(
        self,
        batching: Batching,
        launch: Callable[[Sequence[Slot]], None],
        *,
        most_requests: int,
        most_bytes: int,
    ) -> None:
        self._batching = batching
        self._launch = launch
        self._most_requests = most_requests
        self._most_bytes = most_bytes
        self._slots: list[Slot] = []
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        batching.on_release(self._wait)

    def add(self, slot: Slot) -> None:
        """Add a request."""
        if self._slots and self._bytes + slot.size > self._most_bytes:
            self._flush()
        self._slots.append(slot)
        self._bytes += slot.size
        if len(self._slots) >= self._most_requests:
            self._flush()
        self._wait()

    def remove(self, slot: Slot) -> bool:
        """Remove a request; return False if it was launched already."""
        if slot not in self._slots:
            return False
        self._slots.remove(slot)
        self._bytes -= slot.size
        return True

    def close(self) -> None:
        """Launch nothing more."""
        self._slots.clear()
        self._wait()

    def _wait(self) -> None:
        """Restart the waiting time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._slots:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._batching.quiet, self._quiet)

    def _quiet(self) -> None:
        if not self._batching.is_held:
            self._flush()

    def _flush(self) -> None:
        slots, self._slots, self._bytes = self._slots, [], 0
        if slots:
            self._launch(slots)
