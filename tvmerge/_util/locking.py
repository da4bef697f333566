"""File locks of the operating system, which are released after a crash."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tvmerge.errors import StudyError

_LOOK = 1.0
"""Seconds to wait for a lock that another process may hold only to check whether it is free."""


@contextmanager
def locked(folder: Path, name: str = ".lock") -> Iterator[None]:
    """Lock `folder`, or what `name` stands for in it, for this process.

    Raises:
        StudyError: Another process holds the lock.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / name)
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
    finally:
        lock.release()


def is_locked(folder: Path, name: str = ".lock") -> bool:
    """Return whether another process has locked `folder`, or what `name` stands for in it."""
    from filelock import FileLock, Timeout

    if not (folder / name).exists():
        return False
    try:
        with FileLock(folder / name, timeout=0):
            return False
    except Timeout:
        return True
