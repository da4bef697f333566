"""Checks that results can be written, before anything is paid for.

The checks leave no files behind: they create an unnamed file in the folder of the result or its nearest
existing parent.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tvmerge._util.real_path import real_path
from tvmerge._util.regular import kind_of
from tvmerge.errors import ConfigError

LEAST = 1 << 20
"""Bytes that must be free where results are written."""


BESIDE = 24
"""Bytes that a hidden file or folder beside an output may add to its name, such as `.NAME.tvmerge.lock`."""

_NAME_MAX, _PATH_MAX = 255, 4096
"""The longest name and path in bytes, where a system does not tell: those of Linux."""


def check_file(path: Path, what: str, room: int = LEAST) -> None:
    """Check that a file can be written or replaced, following links.

    Args:
        path: The file.
        what: Its name in messages, such as `--out`.
        room: Bytes that must be free.

    Raises:
        ConfigError: It is not a file, cannot be written or the disk is too full.
    """
    _check_length(path, what)
    with _translated(path, what):
        mode = _mode(path)
        if mode is not None and stat.S_ISDIR(mode):
            raise ConfigError(f"{what} {path} is a folder; choose a file")
        if mode is not None and not stat.S_ISREG(mode):
            raise ConfigError(f"{what} {path} is {kind_of(mode)} and not a file; choose a file")
        if mode is not None and not os.access(path, os.W_OK):
            raise ConfigError(f"{what} {path} is write-protected; choose another file")
        _try(real_path(path).parent, room)


def check_folder(path: Path, what: str, room: int = LEAST) -> None:
    """Check that files can be written into a folder, which may not exist yet, following links.

    Args:
        path: The folder.
        what: Its name in messages, such as `--run-dir`.
        room: Bytes that must be free.

    Raises:
        ConfigError: It is not a folder, cannot be written or the disk is too full.
    """
    _check_length(path, what)
    with _translated(path, what):
        mode = _mode(path)
        if mode is not None and not stat.S_ISDIR(mode):
            raise ConfigError(f"{what} {path} is {kind_of(mode)} and not a folder; choose a folder")
        _try(real_path(path), room)


def check_new_folder(path: Path, what: str) -> None:
    """Check that a folder can be filled beside its place and renamed to it.

    Args:
        path: The folder, which may not exist yet. What it holds is not checked.
        what: Its name in messages, such as `--output-dir`.

    Raises:
        ConfigError: It is not a folder, cannot be written or the disk is too full.
    """
    _check_length(path, what, BESIDE)
    with _translated(path, what):
        mode = _mode(path)
        if mode is not None and not stat.S_ISDIR(mode):
            raise ConfigError(f"{what} {path} is {kind_of(mode)} and not a folder; choose a folder")
    check_folder(path.absolute().parent, f"the folder of {what},")


def _check_length(path: Path, what: str, more: int = 0) -> None:
    """Check that no name on the way to `path` is too long, nor the path with names of `more` bytes beside it.

    Names in folders that do not exist yet are not checked by the system.
    """
    place = path.absolute()
    longest, whole = (_limit(place, name) for name in ("PC_NAME_MAX", "PC_PATH_MAX"))
    # What is written into a folder has a name, too.
    if len(os.fsencode(place)) + longest > whole:
        raise ConfigError(f"{what} {str(path)[:60]}...: the path is too long; choose a shorter one")
    for part in place.parts[1:]:
        if len(os.fsencode(part)) + (more if part == place.name else 0) > longest:
            raise ConfigError(f"{what} {str(path)[:200]}: the name {part[:20]}... is too long; shorten it")


def _limit(place: Path, name: str) -> int:
    """Return a limit of the file system of `place`, or of the nearest folder on the way that exists."""
    for folder in (place, *place.parents):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # Windows has no such function
            return os.pathconf(folder, name)
    return _NAME_MAX if "NAME" in name else _PATH_MAX


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
