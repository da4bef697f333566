"""The live view of a run on a terminal."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import TextIO

from rich.console import Console, ConsoleOptions, OverflowMethod, RenderResult
from rich.live import Live
from rich.text import Text

from tvmerge._util.caught import Caught
from tvmerge._util.printable import ascii_only, printable
from tvmerge.report.terminal.state import RunState
from tvmerge.report.terminal.view import Row, live_rows

_STYLES = {"plain": "", "good": "cyan", "faint": "dim", "warn": "yellow"}


class _Terminal(Console):
    """A console that raises where rich would end the process."""

    def on_broken_pipe(self) -> None:
        """Raise the error that rich handles."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


class LiveView:
    """Shows the state of a run in place, with notes above it.

    It is drawn with each tick, so that the loop of the run does not wait for the terminal. An error of
    drawing is raised by the next call, never where other libraries write a line above the view.

    Args:
        state: The state of the run.
        stream: The terminal.
        plain: Whether the terminal shows ASCII only.
    """

    def __init__(self, state: RunState, stream: TextIO, *, plain: bool) -> None:
        self._state = state
        self._plain = plain
        self._error: Exception | None = None
        self._console = _Terminal(file=stream)
        self._live = Live(
            console=self._console,
            get_renderable=lambda: self,
            auto_refresh=False,
            # Results printed to standard output must not go to the terminal of the view.
            redirect_stdout=False,
            vertical_overflow="crop",
        )

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._state.over = True
        self._live.stop()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        rows: list[Row] = []
        with Caught() as caught:
            rows = live_rows(self._state, options.max_width, options.height or 24, ascii_bar=self._plain)
        self._error = self._error or caught.error
        for row in rows:
            text = self._shown(printable(row.text))
            cut: OverflowMethod = "crop" if self._plain else "ellipsis"
            yield Text(text, style=_STYLES[row.style], no_wrap=True, overflow=cut)

    def changed(self, *, notable: bool, is_new: bool = False, at_once: bool = False) -> None:
        """Leave it to the next tick."""

    def phase(self) -> None:
        """Draw it now: it can be over, or hold the interpreter's lock, before the next tick."""
        self.tick()

    def note(self, text: str) -> None:
        """Print a line above the view."""
        self._check()
        self._console.print(self._shown(text), markup=False, highlight=False)

    def waiting(self) -> None:
        """Leave it to the next tick."""

    def tick(self) -> None:
        """Draw the view."""
        self._live.refresh()
        self._check()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _shown(self, text: str) -> str:
        return ascii_only(text) if self._plain else text


def shows_ascii_only(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether a terminal may not show more than ASCII.

    In the locale C, Python writes UTF-8 all the same, and sets LC_CTYPE to C.UTF-8 unless LC_ALL is set.
    """
    if not (stream.encoding or "").lower().replace("-", "").startswith("utf"):
        return True
    character_type = environment.get("LC_CTYPE", "")
    named = (environment.get("LC_ALL"), "" if character_type == "C.UTF-8" else character_type)
    return next(filter(None, (*named, environment.get("LANG"))), "") in {"C", "POSIX"}
