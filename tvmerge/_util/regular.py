"""Opens files that are files: not a pipe, which may never end or begin, nor a device such as `/dev/zero`."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

LARGEST = 1 << 32
"""Bytes of the largest file that is read into memory as a whole."""

_PIECE = 1 << 24
"""Bytes that are read at once."""


def open_regular(path: Path) -> BufferedReader:
    """Open a file to read its bytes, following links.

    Raises:
        OSError: It cannot be opened, or is something else than a file.
    """
    # Without the flag, opening a pipe waits for a writer. It does not concern files.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(handle, "rb")
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, f"it is {kind_of(mode)} and not a file", str(path))


def read_bytes(path: Path, most: int = LARGEST) -> bytes:
    """Return the content of a file.

    Args:
        path: The file.
        most: The most bytes that it may have.

    Raises:
        OSError: It cannot be read, is something else than a file, or larger.
    """
    parts, left = [], most
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > most:
            raise _too_large(path, most)
        # In pieces, since `read` takes as much memory as it is told to read, however short the file is.
        while part := file.read(_PIECE):
            left -= len(part)
            if left < 0:  # it has grown, or is one of those whose size the system does not tell
                raise _too_large(path, most)
            parts.append(part)
    return b"".join(parts)


def _too_large(path: Path, most: int) -> OSError:
    return OSError(errno.EFBIG, f"it has more than {most:,} bytes", str(path))


def read_utf8(path: Path, most: int = LARGEST) -> str:
    """Return the text of a file in UTF-8, with the line ends of Unix.

    Raises:
        OSError: See `read_bytes`.
        UnicodeDecodeError: It is not UTF-8.
    """
    return read_bytes(path, most).decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")


def refuse_irregular(path: Path) -> None:
    """Check that a path, following links, names a file or nothing, so that it may be written to.

    Raises:
        OSError: It names something else.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, f"it is {kind_of(mode)} and not a file", str(path))


def kind_of(mode: int) -> str:
    """Return what something with this mode (`st_mode`) is, for messages."""
    kinds = ((stat.S_ISREG, "a file"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
    return next((name for is_one, name in kinds if is_one(mode)), "a device")


def irregular(folder: Path) -> Path | None:
    """Return a pipe, socket or device in a folder, following links; None if there is none."""
    for path in sorted(folder.iterdir()):
        try:
            mode = path.stat().st_mode
        except OSError:  # a broken link, say; reported where the file is needed
            continue
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            return path
    return None
