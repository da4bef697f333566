"""Enters into the log of events, again and again, how far the run is."""

from __future__ import annotations

from collections.abc import Callable

from tvmerge._util.caught import Caught
from tvmerge.report.terminal.fallback import failure
from tvmerge.report.terminal.state import RunState

_EVERY = 10.0
"""Seconds between two events."""


class Heartbeat:
    """Logs the progress of a run while it goes on, until that fails; the run never ends for it.

    Args:
        state: The state of the run.
        event: Enters an event into the log.
        note: Shows a line.
    """

    def __init__(self, state: RunState, event: Callable[..., None], note: Callable[[str], None]) -> None:
        self._state, self._event, self._note = state, event, note
        self._last: float | None = state.clock()

    def tick(self) -> None:
        """Log the progress if it is due."""
        now = self._state.clock()
        if self._last is None or now - self._last < _EVERY:
            return
        self._last = now
        with Caught() as caught:
            self._event("progress", **self._state.as_json(), in_flight=self._state.flights.as_json())
        if caught.error is not None:
            self._last = None
            self._note(f"progress is not logged any more: {failure(caught.error)}; please report this error")
