"""One run at a time in a run folder; a lock that a crash frees, since the operating system holds it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tvmerge.errors import StudyError


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process.

    Raises:
        StudyError: Another process holds it.
    """
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise StudyError(
            f"another tvmerge works in {folder}; wait for it, or choose another --run-dir"
        ) from error
    try:
        yield
    finally:
        lock.release()
