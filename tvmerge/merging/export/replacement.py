"""Writes folders atomically: a folder appears whole, in place of an earlier one, or not at all.

A folder is filled next to its final place under a hidden name, and renamed when it is complete. What a killed
process leaves is recognized by its name and by files that only this module writes, so nothing else is ever
removed: `WRITING` in an unfinished folder, `REPLACED` in one that makes room for another.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from tvmerge._util.files import make_folder_for, write_fault
from tvmerge._util.real_path import real_path
from tvmerge.errors import CheckpointError
from tvmerge.merging.export.folders import MARKER, REPLACED, WRITING

_PATIENCE = 1.0
"""Seconds to wait for a lock whose holder may only be looking."""


@contextmanager
def new_folder(folder: Path, check: Callable[[], None] = lambda: None) -> Iterator[Path]:
    """Yield a folder to fill, which replaces `folder` if the block succeeds.

    If the block raises, the new folder is removed and an existing `folder` stays unchanged. The place is
    locked meanwhile. What earlier, killed calls left for this place is put back or removed first.

    Args:
        folder: The final place.
        check: Raises if `folder` must not be replaced. Called before the block and again before the
            replacement, both times while the place is locked.

    Raises:
        CheckpointError: The folder cannot be written, or another process is writing it.
    """
    # Resolved once, so that a link that is changed meanwhile does not lead elsewhere.
    folder = folder.absolute()
    folder = real_path(folder.parent) / folder.name
    with translated(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    with locked_place(folder):
        with translated(folder):
            _recover(folder)
        check()
        with translated(folder):
            temporary = make_folder_for(folder, folder.name)
        try:
            (temporary / WRITING).touch()
            yield temporary
            check()
            with translated(folder):
                sync(temporary)
                _swap(temporary, folder)
        finally:
            (folder / WRITING).unlink(missing_ok=True)
            shutil.rmtree(temporary, ignore_errors=True)


def sync(path: Path) -> None:
    """Flush a file's content, or a folder's entries, to the disk."""
    if os.name == "nt" and path.is_dir():
        return  # not supported for folders on Windows
    handle = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def locked_place(folder: Path) -> Iterator[None]:
    """Lock the place of a folder, which need not exist, for writing.

    Raises:
        CheckpointError: Another process is writing it, or the place cannot be written.
    """
    place = folder.with_name(f".{folder.name}.tvmerge.lock")
    lock = FileLock(place)
    with translated(folder):
        try:
            lock.acquire(timeout=_PATIENCE)
        except Timeout as error:
            raise CheckpointError(
                f"another tvmerge is writing {folder}; wait for it, or choose another output folder"
            ) from error
    try:
        yield
    finally:
        # Whoever waits for the lock notices that its file is gone, and makes another.
        place.unlink(missing_ok=True)
        lock.release()


def _recover(folder: Path) -> None:
    """Put back or remove what killed calls left for this place."""
    # Only this process may write to the place, so nobody else is filling or replacing what has its name.
    for old in _leftovers(folder, ".old", REPLACED):
        if not folder.exists():
            old.rename(folder)
        elif any((folder / mark).is_file() for mark in (WRITING, MARKER)):  # else another has come here
            _remove(old, REPLACED)
    for mark in (WRITING, REPLACED):
        (folder / mark).unlink(missing_ok=True)
    for unfinished in _leftovers(folder, ".tmp", WRITING):
        with contextlib.suppress(OSError):
            _remove(unfinished, WRITING)


def _leftovers(folder: Path, suffix: str, mark: str) -> list[Path]:
    """Return the marked folders that `new_folder` made for a place: not those for `NAME.v2` beside `NAME`."""
    name = re.compile(rf"\.{re.escape(folder.name)}\.[a-z0-9_]+{re.escape(suffix)}", re.DOTALL)
    alike = [path for path in folder.parent.iterdir() if name.fullmatch(path.name)]
    return [path for path in alike if not path.is_symlink() and (path / mark).is_file()]


def _swap(temporary: Path, folder: Path) -> None:
    if not folder.exists() or not any(folder.iterdir()):
        temporary.rename(folder)
        sync(folder.parent)
        return
    old = folder.with_name(temporary.name.removesuffix(".tmp") + ".old")
    try:
        (folder / REPLACED).touch()
        folder.rename(old)
        temporary.rename(folder)
        sync(folder.parent)
    finally:  # also after Ctrl-C between the renames
        if old.exists() and not folder.exists():
            old.rename(folder)
        (folder / REPLACED).unlink(missing_ok=True)
        _discard(old)


def _discard(old: Path) -> None:
    """Remove a replaced folder, if it is there; Ctrl-C ends the process after that."""
    with contextlib.suppress(OSError):
        try:
            _remove(old, REPLACED)
        except KeyboardInterrupt:
            _remove(old, REPLACED)
            raise


def _remove(folder: Path, mark: str) -> None:
    """Remove a marked folder, its mark last, so that it is known for a leftover until it is gone."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != mark:
            path.unlink()
    shutil.rmtree(folder)


@contextmanager
def translated(folder: Path) -> Iterator[None]:
    """Translate errors of the system while `folder` is written to `CheckpointError`."""
    try:
        yield
    except OSError as error:
        raise CheckpointError(f"{folder}: {write_fault(error)}") from error
