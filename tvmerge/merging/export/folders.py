"""Writes folders atomically, and replaces only folders that tvmerge wrote.

A folder is written next to its final place under a hidden name and renamed when it is complete. A folder
written by tvmerge contains `tvmerge.json`, which names its owner and its files.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tvmerge.errors import CheckpointError

MARKER = "tvmerge.json"
_LOCK = ".lock"


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder to fill, which replaces `folder` if the block succeeds.

    If the block raises, the new folder is removed and an existing `folder` stays unchanged. A crash between
    the two renames leaves the old folder as `.NAME.old`, which the next call restores. The next call also
    removes unfinished folders of killed processes.

    Raises:
        CheckpointError: The folder cannot be written.
    """
    folder = folder.absolute()
    old = folder.with_name(f".{folder.name}.old")
    with _translated(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        _recover(folder, old)
        _clear_leftovers(folder)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
    lock = FileLock(temporary / _LOCK)
    lock.acquire()
    try:
        yield temporary
        with _translated(folder):
            lock.release()
            (temporary / _LOCK).unlink(missing_ok=True)
            temporary.chmod(0o755)
            sync(temporary)
            _swap(temporary, folder, old)
    finally:
        lock.release()
        shutil.rmtree(temporary, ignore_errors=True)


def check_replaceable(
    folder: Path, owner: str | None, *, overwrite: bool, sources: Iterable[Path] = ()
) -> None:
    """Check that writing to `folder` destroys nothing that tvmerge did not write.

    Args:
        folder: The folder of the model.
        owner: The model's owner; an earlier model of the same owner may be replaced.
        overwrite: Whether any contents may be replaced, except source models.
        sources: Folders that must never be replaced.

    Raises:
        CheckpointError: The folder must not be replaced.
    """
    place = folder.resolve()
    for source in sources:
        if source.resolve().is_relative_to(place):
            raise CheckpointError(f"{folder} holds a model that is merged from; choose another output folder")
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise CheckpointError(f"{folder} exists and is not a folder; choose another output folder")
    if overwrite or not folder.exists() or not any(folder.iterdir()):
        return
    marker = read_marker(folder)
    if owner is None or marker.get("owner") != owner:
        written = "was written by another run" if owner else "holds a merged model already"
        whose = written if marker else "is not empty"
        raise CheckpointError(f"{folder} {whose}; choose another output folder, or pass --overwrite")
    foreign = sorted({path.name for path in folder.iterdir()} - {MARKER, *marker.get("files", ())})
    if foreign:
        raise CheckpointError(
            f"{folder} also holds files tvmerge did not write ({', '.join(foreign[:3])}); move them away, or "
            "pass --overwrite"
        )


def read_marker(folder: Path) -> dict[str, Any]:
    """Return the content of `tvmerge.json` in `folder`; empty if it is missing or invalid."""
    try:
        data = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def sync(path: Path) -> None:
    """Flush a file's content, or a folder's entries, to the disk."""
    if os.name == "nt" and path.is_dir():
        return  # not supported for folders on Windows
    handle = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _clear_leftovers(folder: Path) -> None:
    """Remove the leftovers of killed writers; a running one holds its lock."""
    for leftover in folder.parent.glob(f".{glob.escape(folder.name)}.*.tmp"):
        lock = FileLock(leftover / _LOCK)
        with contextlib.suppress(Timeout, OSError):
            lock.acquire(timeout=0)
            lock.release()
            shutil.rmtree(leftover, ignore_errors=True)


def _recover(folder: Path, old: Path) -> None:
    if not old.exists():
        return
    if folder.exists():
        shutil.rmtree(old)
    else:
        old.rename(folder)


def _swap(temporary: Path, folder: Path, old: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        folder.rename(old)
        try:
            temporary.rename(folder)
        except OSError:
            old.rename(folder)
            raise
        sync(folder.parent)
        with contextlib.suppress(OSError):
            shutil.rmtree(old)
    else:
        temporary.rename(folder)
        sync(folder.parent)


@contextmanager
def _translated(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be written: {error.strerror or error}") from error
