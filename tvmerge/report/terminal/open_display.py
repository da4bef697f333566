"""Chooses how the state of a run is shown."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import TextIO

from tvmerge.report.terminal.displays import Display, Lines, Silence
from tvmerge.report.terminal.fallback import Failed, Fallback
from tvmerge.report.terminal.state import RunState


def open_display(
    state: RunState,
    stream: TextIO | None,
    tell: Callable[[str], object] | None,
    failed: Failed,
    *,
    quiet: bool,
) -> Display:
    """Return the display that suits a stream.

    Args:
        state: The state of the run.
        stream: Where it is shown; None, as in a process without standard error, shows nothing.
        tell: Called with each line instead; None to use the stream. Its errors are those of the caller.
        failed: Called when what is shown on the stream changes because of an error.
        quiet: Show nothing.
    """
    if quiet:
        return Silence()
    if tell is not None:
        return Lines(state, tell)
    if stream is None:
        return Silence()
    lines = Lines(state, partial(_write_line, stream))
    # A dumb terminal has no cursor control, and a log file is not a terminal even if colours are forced.
    if not stream.isatty() or os.environ.get("TERM", "") in {"dumb", "unknown"}:
        return Fallback([lines], stream, failed)
    from tvmerge.report.terminal.live import LiveView, shows_ascii_only

    return Fallback([LiveView(state, stream, plain=shows_ascii_only(stream)), lines], stream, failed)


def _write_line(stream: TextIO, line: str) -> None:
    stream.write(f"{line}\n")  # at once, since lines come from several threads
    stream.flush()
