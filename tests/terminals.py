"""A real pseudo-terminal, for tests of what is shown on one."""

from __future__ import annotations

import io
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_SETTINGS = ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "LANG", "LC_ALL", "LC_CTYPE")

_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@contextmanager
def terminal(
    monkeypatch: pytest.MonkeyPatch, *, columns: int = 160, encoding: str = "utf-8", **environment: str
) -> Iterator[tuple[io.TextIOWrapper, list[str]]]:
    """A pseudo-terminal to write to, and what came out of it once the block has ended."""
    pty = pytest.importorskip("pty", reason="pseudo-terminals exist on POSIX systems only")
    for name in _SETTINGS:
        monkeypatch.delenv(name, raising=False)
    settings = {"TERM": "xterm-256color", "LANG": "en_US.UTF-8", "COLUMNS": str(columns), **environment}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    ours, theirs = pty.openpty()
    seen: list[str] = []
    reader = threading.Thread(target=_read_all, args=(ours, seen))
    reader.start()
    try:
        with os.fdopen(theirs, "w", encoding=encoding) as stream:
            yield stream, seen
    finally:
        reader.join(timeout=10)
        os.close(ours)


def lines_of(seen: str) -> list[str]:
    """The lines that were drawn, without colours and movements of the cursor."""
    return [line.rstrip() for line in re.split(r"[\r\n]+", _SEQUENCE.sub("", seen))]


def _read_all(handle: int, seen: list[str]) -> None:
    chunks = []
    try:
        while chunk := os.read(handle, 65536):
            chunks.append(chunk)
    except OSError:  # how Linux says that the other end is closed
        pass
    seen.append(b"".join(chunks).decode("utf-8"))
