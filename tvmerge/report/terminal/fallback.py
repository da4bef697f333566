"""Lets a run go on when what shows it fails: the next display takes over, in the end silence."""

from __future__ import annotations

import errno
import os
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO

from tvmerge._util.caught import Caught
from tvmerge.report.terminal.displays import Display, Silence

if TYPE_CHECKING:
    from types import TracebackType

_GONE = frozenset({errno.EPIPE, errno.EIO, errno.EBADF})
"""Errors of a stream that nobody will ever read again."""


class Failed(Protocol):
    """Called when a display has failed."""

    def __call__(self, reason: str, *, silent: bool) -> None:
        """Note why, and whether nothing is shown from now on."""


class Fallback:
    """Shows the state of a run with the first of some displays, and with the next one where that fails.

    A run may have been paid for, so it never ends because it cannot be shown. If the stream can no longer be
    written, nothing is shown any more.

    Args:
        displays: The displays, all of the same stream.
        stream: The stream.
        failed: Called once for each display that fails, after the next one has begun.
    """

    def __init__(self, displays: Sequence[Display], stream: TextIO, failed: Failed) -> None:
        self._display, *self._others = displays
        self._stream = stream
        self._failed = failed
        self._lock = threading.Lock()

    def __enter__(self) -> Fallback:
        self._with_display(lambda display: display.__enter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._with_display(lambda display: display.__exit__(kind, error, trace))

    def changed(self, *, notable: bool, is_new: bool = False, at_once: bool = False) -> None:
        """Note that the state has changed."""
        self._with_display(lambda display: display.changed(notable=notable, is_new=is_new, at_once=at_once))

    def phase(self) -> None:
        """Note that the run has begun something else."""
        self._with_display(lambda display: display.phase())

    def note(self, text: str) -> None:
        """Show a permanent line."""
        self._with_display(lambda display: display.note(text))

    def waiting(self) -> None:
        """Note that what the run is waiting for has changed."""
        self._with_display(lambda display: display.waiting())

    def tick(self) -> None:
        """Show what is due."""
        self._with_display(lambda display: display.tick())

    def _with_display(self, call: Callable[[Display], object]) -> None:
        """Call a function with the display, and again with the next one if that fails."""
        while True:
            display = self._display
            with Caught() as caught:
                call(display)
            if caught.error is None:
                return
            self._give_up(display, caught.error)

    def _give_up(self, display: Display, error: Exception) -> None:
        """Put the next display in the place of one that has failed, unless another thread has done so."""
        lost = isinstance(error, OSError) or self._stream.closed
        with self._lock:
            if display is not self._display:
                return
            with Caught():  # it gives the terminal back, as far as it can
                display.__exit__(type(error), error, error.__traceback__)
            if lost:
                _discard(self._stream, error)
            self._display = Silence() if lost or not self._others else self._others.pop(0)
            self._display.__enter__()
            silent = isinstance(self._display, Silence)
        self._failed(_reason(error, lost=lost, silent=silent), silent=silent)


def failure(error: Exception) -> str:
    """Return an error with the place in the program where it was raised, in one line."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return f"{said} ({Path(place.filename).name}, line {place.lineno})"


def _reason(error: Exception, *, lost: bool, silent: bool) -> str:
    if lost:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return f"progress is not shown any more, because standard error cannot be written: {cause}"
    instead = "progress is not shown any more" if silent else "progress is shown in lines from now on"
    return f"{instead}: {failure(error)}; please report this error"


def _discard(stream: TextIO, error: Exception) -> None:
    """Let nothing fail that is written to a stream without a reader later, by libraries or at the exit."""
    if isinstance(error, OSError) and error.errno in _GONE:
        with suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
