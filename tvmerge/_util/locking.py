"""File locks of the operating system, which are released after a crash."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tvmerge._util.regular import open_regular
from tvmerge.errors import StudyError

_LOOK = 1.0
"""Seconds to wait for a lock that another process may hold only to check whether it is free."""


@contextmanager
def locked(folder: Path, name: str = ".lock") -> Iterator[None]:
    """Lock `folder`, or what `name` stands for in it, for this process.

    The folder is made if need be. After an error that left nothing in it, it is removed again.

    Raises:
        StudyError: Another process holds the lock.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / name)
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    is_new = not (folder / name).exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=_LOOK)
    except Timeout as error:
        raise StudyError(
            f"another tvmerge is using {folder}; wait for it, or choose another --run-dir or --storage"
        ) from error
    except OSError as error:
        raise StudyError(
            f"{folder} cannot be used for a run or its storage: {error.strerror or error}"
        ) from error
    try:
        yield
    except BaseException:
        if is_new:
            _withdraw(folder, name, missing)
        raise
    finally:
        lock.release()


def _withdraw(folder: Path, name: str, made: Iterable[Path]) -> None:
    """Remove a lock file and the folders that were made for it, if there is nothing but locks in them.

    Whoever waits for the lock notices that its file is gone, and makes another.

    Args:
        folder: The folder of the lock.
        name: The lock file's name.
        made: The folders that were made, each of which is in the next.
    """
    # The error that ends the run counts, not what hinders tidying up after it.
    with suppress(OSError):
        if all(path.name.startswith(".") and path.name.endswith(".lock") for path in folder.iterdir()):
            (folder / name).unlink(missing_ok=True)
            for place in made:
                place.rmdir()


def is_locked(folder: Path, name: str = ".lock") -> bool:
    """Return whether another process has locked `folder`, or what `name` stands for in it.

    Nothing is written, so the folder may be one that this user can only read.

    Raises:
        StudyError: The lock's file cannot be read.
    """
    place = folder / name
    try:
        with open_regular(place) as file:
            return _is_held(place) if sys.platform == "win32" else _is_flocked(file.fileno())
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno in {errno.ENOSYS, errno.ENOTSUP}:  # a network's file system without such locks
            return _is_held(place)
        raise StudyError(f"{place}: cannot be read: {error.strerror or error}") from error


def _is_flocked(descriptor: int) -> bool:
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def _is_held(place: Path) -> bool:
    """Return whether the lock is held, by taking it."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(place, timeout=0):
            return False
    except Timeout:
        return True
