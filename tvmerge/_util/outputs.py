"""Checks that results can be written, before anything is paid for.

The checks leave no files behind: they create an unnamed file in the folder of the result or its nearest
existing parent.
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
    """Check that a file can be written or replaced, following links.

    Args:
        path: The file.
        what: Its name in messages, such as `--out`.
        room: Bytes that must be free.

    Raises:
        ConfigError: It is not a file, cannot be written or the disk is too full.
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
    """Check that files can be written into a folder, which may not exist yet, following links.

    Args:
        path: The folder.
        what: Its name in messages, such as `--run-dir`.
        room: Bytes that must be free.

    Raises:
        ConfigError: It is not a folder, cannot be written or the disk is too full.
    """
    with _translated(path, what):
        mode = _mode(path)
        if mode is not None and not stat.S_ISDIR(mode):
            raise ConfigError(f"{what} {path} is {_kind(mode)} and not a folder; choose a folder")
        _try(Path(os.path.realpath(path)), room)


def _mode(path: Path) -> int | None:
    """Return the mode of the file at a path, following links; None if there is none."""
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
        # Free space on the disk may not be available to this user.
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
        raise ConfigError(f"{what} {path}: files cannot be created there; choose another location") from error
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        why = "the disk is full" if full else error.strerror or str(error)
        raise ConfigError(f"{what} {path} cannot be written ({why}); choose another location") from error
