"""State shared by the batches of all judges of a run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tvmerge.judging.batch.slot import Leftovers

_QUIET = 1.0
"""Seconds without a new request after which no more are expected until replies arrive."""

PATIENCE = 90_000.0
"""Seconds to wait for a batch: providers end it after 24 hours and then write its results."""


class Batching:
    """Decides when the collected requests are sent, and which requests are sent one by one instead.

    Args:
        folder: Where sent batches are recorded; used by one process at a time.
        patience: Seconds a run waits for a batch.
        quiet: Seconds without a new request after which a batch is sent.
    """

    def __init__(self, folder: Path, *, patience: float = PATIENCE, quiet: float = _QUIET) -> None:
        self.file = folder / "batches.db"
        self.patience = patience
        self.quiet = quiet
        self._live = 0
        self._holds = 0
        self._released: list[Callable[[], None]] = []
        self._checks: list[Callable[[], Awaitable[None]]] = []
        self._leftovers: dict[str, Leftovers] = {}

    @property
    def is_live(self) -> bool:
        """Whether requests are currently sent one by one."""
        return self._live > 0

    @property
    def is_held(self) -> bool:
        """Whether more requests are expected."""
        return self._holds > 0

    @contextmanager
    def live(self) -> Iterator[None]:
        """Send requests one by one within the block."""
        self._live += 1
        try:
            yield
        finally:
            self._live -= 1

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Send no batch within the block, because answers are being generated that will add requests."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
            if not self._holds:
                for released in self._released:
                    released()

    def leftovers(self, owner: str) -> Leftovers:
        """Return what earlier runs left of the batches of an owner, the same object for all its judges."""
        return self._leftovers.setdefault(owner, Leftovers())

    def on_release(self, released: Callable[[], None]) -> None:
        """Call `released` when no more requests are expected."""
        self._released.append(released)

    def on_check(self, check: Callable[[], Awaitable[None]]) -> None:
        """Call `check` before anything expensive begins."""
        self._checks.append(check)

    async def check(self) -> None:
        """Check that all judges have a batch endpoint.

        Raises:
            UserError: A judge has none, or its key was rejected.
            ProviderError: A judge's provider cannot be reached.
        """
        for check in self._checks:
            await check()
