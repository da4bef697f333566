"""Room on a disk that is kept for what is on its way when the disk fills up."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

SIZE = 4 << 20
"""Bytes: some hundred judgments and the database's own journal."""


class Reserve:
    """A file that holds nothing, to be removed when what was paid for must be written and there is no room.

    It stays in its folder for the next run, and for others that write there.

    Args:
        path: The file.
        size: Bytes.
    """

    def __init__(self, path: Path, size: int = SIZE) -> None:
        self._path = path
        self._size = size

    def hold(self) -> None:
        """Take the room, where it is not taken yet; where there is less, none is kept."""
        try:
            if not self._path.exists():
                # No zeros: some file systems keep none of those.
                self._path.write_bytes(os.urandom(self._size))
        except OSError:
            self.release()

    def release(self) -> None:
        """Give the room back."""
        # What keeps it from being removed keeps the rest from being written, which tells of it.
        with suppress(OSError):
            self._path.unlink()
