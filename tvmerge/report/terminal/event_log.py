"""The log of a run's events: one JSON object a line, for other programs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tvmerge._util.files import append_text, end_last_line, jsonl_line
from tvmerge._util.outputs import check_file
from tvmerge._util.parsing import parse_json
from tvmerge.errors import ConfigError

FLAG = "--log-file"


class EventLog:
    """Appends events to a file, which is made with the first of them.

    Args:
        path: The file. One that exists must be such a log, and is continued.
        now: Returns the current time.

    Raises:
        ConfigError: The file cannot be written, or is not a log of events.
    """

    def __init__(
        self,
        path: Path,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        check_file(path, FLAG)
        _check_is_log(path)
        self._path = path
        self._now = now
        self._lock = threading.Lock()
        self._begun = False
        self._broken = False

    def write(self, kind: str, **fields: Any) -> str:
        """Append an event, with the time; called from any thread.

        If the file can no longer be written, nothing more is appended: a run does not end for it.

        Args:
            kind: What has happened.
            fields: More about it, as plain JSON data.

        Returns:
            Why the file can no longer be written, once; otherwise an empty text.
        """
        with self._lock:
            if self._broken:
                return ""
            row = {"time": self._now().isoformat(timespec="milliseconds"), "kind": kind, **fields}
            try:
                self._append(row)
            except OSError as error:
                self._broken = True
                return f"{FLAG} {self._path} {error.strerror}; the run goes on without it"
        return ""

    def _append(self, row: dict[str, Any]) -> None:
        if not self._begun and self._path.exists():
            end_last_line(self._path)
        # What is no text, such as half a surrogate in the name of a file, is written as JSON's escapes.
        line = jsonl_line(row).encode("utf-8", "backslashreplace").decode("utf-8")
        append_text(self._path, line)
        self._begun = True


def _check_is_log(path: Path) -> None:
    """Raise if there is a file that holds anything but a log of events.

    Raises:
        ConfigError: There is.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        first = file.readline(1 << 20)
    if first and not _is_event(first):
        raise ConfigError(
            f"{FLAG} {path} exists and is not a log of tvmerge, so nothing is added to it; name another file"
        )


def _is_event(line: bytes) -> bool:
    try:
        row = parse_json(line)
    except ValueError:
        return False
    return isinstance(row, dict) and {"time", "kind"} <= row.keys()
