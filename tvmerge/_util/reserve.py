"""Reserves disk space for results that arrive after the disk is full."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

SIZE = 4 << 20
"""Number of bytes: enough for several hundred judgments and the database's journal."""


class DiskReserve:
    """A placeholder file, which is removed if paid results have to be written and the disk is full.

    It is kept in its folder for later runs and other processes that write there.

    Args:
        path: The file.
        size: Its size in bytes.
    """

    def __init__(self, path: Path, size: int = SIZE) -> None:
        self._path = path
        self._size = size

    def hold(self) -> None:
        """Create the file unless it exists; if there is too little space, create none."""
        try:
            # "x" follows no link, which in a cache from elsewhere may name any file.
            with self._path.open("xb") as file:
                # Not zeros, which some file systems do not store.
                file.write(os.urandom(self._size))
        except FileExistsError:
            return
        except OSError:
            self.release()

    def release(self) -> None:
        """Free the space."""
        # If it cannot be removed, writing the results fails, too, and raises.
        with suppress(OSError):
            self._path.unlink()
