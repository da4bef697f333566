"""Checks that results can be written, before anything is paid for.

What is tried leaves nothing behind: a file without a name, in the folder that would hold the result or in
the nearest one above it that is there.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tvmerge.errors import ConfigError

LEAST = 1 << 20
"""Bytes that must be free where results are written."""


def check_file(path: Path, what: str, room: int = LEAST) -> None:
    """Check that a file can be written, or replaced where it is there; links are followed.

    Args:
        path: The file.
        what: What the user calls it, such as `--out`.
        room: Bytes that it may take.

    Raises:
        ConfigError: It is something else than a file, may not be written or has no room.
    """
    with _translated(path, what):
        mode = _mode(path)
        if mode is not None and stat.S_ISDIR(mode):
            raise ConfigError(f"{what} {path} is a folder; choose a file")
        if mode is not None and not stat.S_ISREG(mode):
            raise ConfigError(f"{what} {path} is {_kind(mode)} and not a file; choose a file")
        if mode is not None and not os.access(path, os.W_OK):
            raise ConfigError(f"{what} {path} is write-protected; choose another file")
        _try(Path(os.path.realpath(path)).parent, room)


def check_folder(path: Path, what: str, room: int = LEAST) -> None:
    """Check that files can be written into a folder, which need not be there yet; links are followed.

    Args:
        path: The folder.
        what: What the user calls it, such as `--run-dir`.
        room: Bytes that its content may take.

    Raises:
        ConfigError: It is not a folder, may not be written or has no room.
    """
    with _translated(path, what):
        mode = _mode(path)
        if mode is not None and not stat.S_ISDIR(mode):
            raise ConfigError(f"{what} {path} is {_kind(mode)} and not a folder; choose a folder")
        _try(Path(os.path.realpath(path)), room)


def _mode(path: Path) -> int | None:
    """What is at a path, links followed; None where nothing is."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


def _try(folder: Path, room: int) -> None:
    """Check that `folder`, or its nearest existing parent, has `room` bytes free and can be written to."""
    while _mode(folder) is None:
        folder = folder.parent
    with tempfile.TemporaryFile(dir=folder) as file:
        if shutil.disk_usage(folder).free < room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        # What is free on the disk need not be free for this user.
        file.write(bytes(LEAST))
        file.flush()


def _kind(mode: int) -> str:
    kinds = (
        (stat.S_ISREG, "a file"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
    )
    return next((name for is_one, name in kinds if is_one(mode)), "a device")


@contextmanager
def _translated(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except NotADirectoryError as error:
        raise ConfigError(f"{what} {path}: a part of the path is a file, not a folder") from error
    except FileNotFoundError as error:
        raise ConfigError(f"{what} {path}: no files can be made there; choose another location") from error
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        why = "there is no room for it" if full else error.strerror or str(error)
        raise ConfigError(f"{what} {path} cannot be written ({why}); choose another location") from error
