"""Runs the command line in a fork, so that each case begins with everything imported and cannot hang."""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SECONDS = 60.0
"""How long a case may take."""

WORKS, REFUSED, TRACEBACK, HANG, OTHER = "works", "one line", "traceback", "hang", "other"
"""What may come of a case: exit code 0; exit code 2 and one line of error; 70; no end; anything else."""

OUTCOMES = (WORKS, REFUSED, TRACEBACK, HANG, OTHER)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case.

    Attributes:
        kind: One of `OUTCOMES`.
        said: The line of error, or the last lines of the traceback.
        seconds: How long it took.
    """

    kind: str
    said: str
    seconds: float


def attempt(argv: Sequence[str], folder: Path, seconds: float = SECONDS) -> Outcome:
    """Run `tvmerge` with these arguments in a folder."""
    errors = folder.parent / f"{folder.name}.errors"
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        _run(argv, folder, errors)
    ended = _ended(child, seconds)
    took = time.monotonic() - started
    said = errors.read_text(encoding="utf-8", errors="replace") if errors.exists() else ""
    return Outcome(*_kind(ended, said), took)


def loaded(argv: Sequence[str], folder: Path) -> list[str]:
    """Return the modules that a command imports, in their order."""
    listing = folder.parent / "modules"
    child = os.fork()
    if child == 0:
        _run(argv, folder, folder.parent / "modules.errors", listing)
    os.waitpid(child, 0)
    return listing.read_text(encoding="utf-8").split()


def _run(argv: Sequence[str], folder: Path, errors: Path, listing: Path | None = None) -> None:
    code = 1
    try:
        os.setpgid(0, 0)
        os.chdir(folder)
        log = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        null = os.open(os.devnull, os.O_RDWR)
        for number, stream in ((0, null), (1, null), (2, log)):
            os.dup2(stream, number)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        sys.argv = ["tvmerge", *argv]
        from tvmerge.__main__ import exit_code

        code = exit_code()
        sys.stderr.flush()
        if listing is not None:
            listing.write_text("\n".join(sys.modules), encoding="utf-8")
    finally:
        os._exit(code)


def _ended(child: int, seconds: float) -> int | None:
    """Return the exit code of a child, negative after a signal; None if it had to be ended."""
    handle = os.pidfd_open(child)
    try:
        ready, _, _ = select.select([handle], [], [], seconds)
        if not ready:
            os.killpg(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    finally:
        os.close(handle)
    return os.waitstatus_to_exitcode(status) if ready else None


def _kind(code: int | None, said: str) -> tuple[str, str]:
    lines = [line for line in said.splitlines() if line.startswith("error: ")]
    last = lines[-1] if lines else said[-300:]
    if code is None:
        return HANG, last
    if code == 0:
        return WORKS, ""
    if code == 2 and len(lines) == 1:
        return REFUSED, last
    if found := re.search(r"its traceback is in (\S+?)[:;]", said):
        trace = Path(found[1])
        shown = [line for line in trace.read_text(encoding="utf-8").splitlines() if line.strip()]
        trace.unlink()
        ours = [line.strip() for line in shown if "/tvmerge/" in line]
        return TRACEBACK, f"{shown[-1][:160]} at {ours[-1] if ours else '?'}"
    return OTHER, f"exit code {code}: {last}"
