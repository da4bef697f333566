"""Digests of files' contents, which identify a model independently of its path.

Reading a 7B model takes half a minute and one of 70 GB some minutes, so a file's digest is cached: by its
real path, size, modification time, inode and the time its inode last changed (`st_ctime`). Programs can set
the modification time to what it was, but not the last: it follows each write, rename and change of the
metadata. A file that was moved or whose metadata changed is read once more.

A write within the same tick of the file system's clock as an earlier one would leave all of these as they
were. So reading begins after that tick, and a digest is cached only if the state is the same at the end.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from tvmerge._util.canonical import digest
from tvmerge._util.real_path import real_path
from tvmerge._util.regular import open_regular
from tvmerge.errors import CheckpointError

_WORKERS = 4

_TICK, _COARSE_TICK = 0.02, 2.0
"""Seconds within which two writes may get the same time: on Linux, and where a time has no fractions."""


class DigestCache(Protocol):
    """A cache of digests, such as `tvmerge._util.cache.ContentCache`."""

    def get(self, key: str) -> Any | None:
        """Return the value under `key`, or None."""

    def put(self, key: str, value: object) -> None:
        """Store a value."""


def files_digest(root: Path, files: Sequence[Path], cache: DigestCache | None = None) -> str:
    """Return the SHA-256 of the names (relative to `root`) and contents of `files`, in any order.

    Raises:
        CheckpointError: A file cannot be read.
    """
    # hashlib releases the GIL, so large shards are read in parallel.
    with ThreadPoolExecutor(_WORKERS) as pool:
        contents = list(pool.map(lambda path: file_digest(path, cache), files))
    listing: Mapping[str, str] = {
        path.relative_to(root).as_posix(): content for path, content in zip(files, contents, strict=True)
    }
    return digest(listing)


def file_digest(path: Path, cache: DigestCache | None = None) -> str:
    """Return the SHA-256 of a file's content, from `cache` if the file has not changed.

    Raises:
        CheckpointError: The file cannot be read.
    """
    try:
        with open_regular(path) as file:
            state = os.fstat(file.fileno())
            key = _key(path, state)
            known = cache.get(key) if cache is not None else None
            if isinstance(known, str):
                return known
            _wait_out(state)
            content = hashlib.file_digest(file, "sha256").hexdigest()
            unchanged = _key(path, os.fstat(file.fileno())) == key
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error
    if not unchanged:
        raise CheckpointError(
            f"{path}: was changed while it was read; run the command again once it is whole"
        )
    if cache is not None:
        cache.put(key, content)
    return content


def _key(path: Path, state: os.stat_result) -> str:
    """Return what the digest of a file in this state is cached by."""
    times = [state.st_mtime_ns, state.st_ctime_ns]
    return digest(["file-sha256", str(real_path(path)), state.st_size, state.st_ino, *times])


def _wait_out(state: os.stat_result) -> None:
    """Wait until a later write would change the file's state."""
    tick = _TICK if state.st_ctime_ns % 10**9 else _COARSE_TICK
    time.sleep(min(max(0.0, state.st_ctime_ns / 1e9 + tick - time.time()), tick))
