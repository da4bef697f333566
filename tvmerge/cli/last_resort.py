"""What a person sees of an error that nobody expected: one line, and the place of the traceback."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import traceback
from types import TracebackType

from tvmerge._util.urls import hide_passwords
from tvmerge._version import __version__

INTERNAL_ERROR = 70
"""The exit code of an error in a program (`EX_SOFTWARE` of sysexits.h)."""


class LastResort:
    """Turns an error that leaves its block into one line on stderr and an exit code."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            _tell(error)
            raise SystemExit(INTERNAL_ERROR) from error


def _tell(error: Exception) -> None:
    """Save the traceback, and print one line."""
    place = _saved(error)
    where = "no file could be written for its traceback" if place is None else f"its traceback is in {place}"
    said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    shown = "".join(letter if letter.isprintable() else "?" for letter in hide_passwords(said))
    line = (
        f"error: this is a bug in tvmerge ({shown}); {where}: please report it with the output of `tvmerge "
        "doctor`; finished work is saved, run the same command to resume"
    )
    with contextlib.suppress(OSError):
        sys.stderr.write(line.encode("ascii", "backslashreplace").decode("ascii") + "\n")


def _saved(error: Exception) -> str | None:
    """Return the file that the traceback was written to."""
    text = "".join(traceback.format_exception(error))
    head = f"tvmerge {__version__}, Python {sys.version}\n{' '.join(map(repr, sys.argv))}\n"
    try:
        handle, place = tempfile.mkstemp(prefix="tvmerge-error-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(hide_passwords(head + text))
    except OSError:
        return None
    return place
