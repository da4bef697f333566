"""Chooses how the state of a run is shown."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import TextIO

from tvmerge.report.terminal.displays import Display, Lines, Silence
from tvmerge.report.terminal.state import RunState


def open_display(
    state: RunState, stream: TextIO, tell: Callable[[str], object] | None, *, quiet: bool
) -> Display:
    """Return the display that suits a stream.

    Args:
        state: The state of the run.
        stream: Where it is shown.
        tell: Called with each line instead; None to use the stream.
        quiet: Show nothing.
    """
    if quiet:
        return Silence()
    if tell is not None:
        return Lines(state, tell)
    # A dumb terminal has no cursor control, and a log file is not a terminal even if colours are forced.
    if stream.isatty() and os.environ.get("TERM", "") not in {"dumb", "unknown"}:
        from tvmerge.report.terminal.live import LiveView, shows_ascii_only

        return LiveView(state, stream, plain=shows_ascii_only(stream))
    return Lines(state, partial(_write_line, stream))


def _write_line(stream: TextIO, line: str) -> None:
    stream.write(f"{line}\n")  # at once, since lines come from several threads
    stream.flush()
