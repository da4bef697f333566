"""Ways to show the state of a run without a terminal: plain lines, and silence."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from tvmerge.report.terminal.state import RunState
from tvmerge.report.terminal.view import summary

if TYPE_CHECKING:
    from types import TracebackType

_SHORTEST = 2.0
"""Minimum seconds between two lines of progress."""

_LONGEST = 60.0
"""Maximum seconds between two lines of progress."""

_SHARE = 0.1
"""Seconds between two lines, as a fraction of the time since the start."""


class Display(Protocol):
    """Shows the state of a run between `__enter__` and `__exit__`; never suppresses an exception."""

    def __enter__(self) -> Display:
        """Start the display."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore the stream."""

    def changed(self, *, notable: bool, is_new: bool = False, at_once: bool = False) -> None:
        """Note that the state has changed.

        Args:
            notable: Whether a short log should mention it.
            is_new: Whether there is a new best.
            at_once: Whether even a short log should mention it without delay: where a stage begins or ends.
        """

    def phase(self) -> None:
        """Note that the run now does something else, before, between or after the stages that are counted."""

    def note(self, text: str) -> None:
        """Show a permanent line."""

    def waiting(self) -> None:
        """Note that what the run is waiting for has changed."""

    def tick(self) -> None:
        """Show what is due; called again and again, from a thread."""


class Silence:
    """Shows nothing."""

    def __enter__(self) -> Silence:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def changed(self, *, notable: bool, is_new: bool = False, at_once: bool = False) -> None:
        """Show nothing."""

    def phase(self) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Show nothing."""

    def waiting(self) -> None:
        """Show nothing."""

    def tick(self) -> None:
        """Show nothing."""


class Lines:
    """Shows lines that each stand for themselves, for logs, where a live view would leave control codes.

    Lines of progress are at least two seconds apart, except that a stage's first result comes at once. If
    nothing notable happens, a line comes after a tenth of the time since the start, but at least every
    minute.

    Args:
        state: The state of the run.
        tell: Called with each line, from any thread.
    """

    def __init__(self, state: RunState, tell: Callable[[str], object]) -> None:
        self._state = state
        self._tell = tell
        self._told_at = -float("inf")
        self._due = False
        self._is_new = False
        self._is_first = False

    def __enter__(self) -> Lines:
        self._told_at = self._state.clock()
        return self

    def __exit__(self, *error: object) -> None:
        if self._due and self._state.stage is not None:
            self._line()

    def changed(self, *, notable: bool, is_new: bool = False, at_once: bool = False) -> None:
        """Show a line if the change is notable, at once or as soon as it may come."""
        self._due = self._due or notable
        self._is_new = self._is_new or is_new
        if at_once or (self._due and (self._is_first or self._passed() >= _SHORTEST)):
            self._line()
            self._is_first = at_once

    def phase(self) -> None:
        """Leave it to the next line that is due."""

    def note(self, text: str) -> None:
        """Show a line."""
        self._tell(text)

    def waiting(self) -> None:
        """Show what the run is waiting for, unless that is over."""
        if self._state.waiting:
            self.note(self._state.waiting)

    def tick(self) -> None:
        """Show a line if one is due."""
        if self._passed() >= (_SHORTEST if self._due else self._pause()) and (
            self._state.phase or self._state.stage
        ):
            self._line(in_flight=not self._due)

    def _line(self, *, in_flight: bool = False) -> None:
        self.note(summary(self._state, is_new=self._is_new, in_flight=in_flight))
        self._told_at, self._due, self._is_new = self._state.clock(), False, False

    def _passed(self) -> float:
        return self._state.clock() - self._told_at

    def _pause(self) -> float:
        since = self._state.clock() - self._state.started
        return min(_LONGEST, max(_SHORTEST, _SHARE * since))
