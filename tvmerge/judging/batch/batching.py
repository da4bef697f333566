"""State shared by the batches of all judges of a run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_QUIET = 1.0
"""Seconds in which nothing is asked after which nothing more is expected until replies come."""

PATIENCE = 90_000.0
"""Seconds a batch is waited for: providers end it after 24 hours and then write its results."""


class Batching:
    """Says when what was collected is sent, and which requests are sent one by one nevertheless.

    Args:
        folder: Where it is written down what was sent; for one process at a time.
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

    @property
    def is_live(self) -> bool:
        """Whether requests are sent one by one at present."""
        return self._live > 0

    @property
    def is_held(self) -> bool:
        """Whether more requests are on their way to be asked."""
        return self._holds > 0

    @contextmanager
    def live(self) -> Iterator[None]:
        """Within the block requests are sent one by one."""
        self._live += 1
        try:
            yield
        finally:
            self._live -= 1

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Within the block nothing is sent: answers are being made that will be asked about, too."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
            if not self._holds:
                for released in self._released:
                    released()

    def on_release(self, released: Callable[[], None]) -> None:
        """Have `released` called when nothing more is on its way."""
        self._released.append(released)

    def on_check(self, check: Callable[[], Awaitable[None]]) -> None:
        """Have `check` called before anything expensive begins."""
        self._checks.append(check)

    async def check(self) -> None:
        """Check that all judges have a batch endpoint.

        Raises:
            UserError: One has none, or its key is refused.
            ProviderError: One cannot be asked.
        """
        for check in self._checks:
            await check()
