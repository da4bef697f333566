"""Digests of files' contents, which identify a model independently of its path.

Reading a 7B model takes half a minute, so a file's digest is cached by its real path, size and modification
time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from tvmerge._util.canonical import digest
from tvmerge.errors import CheckpointError

_WORKERS = 4


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
        state = path.stat()
        key = digest(["file-sha256", str(path.resolve()), state.st_size, state.st_mtime_ns])
        known = cache.get(key) if cache is not None else None
        if isinstance(known, str):
            return known
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error
    if cache is not None:
        cache.put(key, content)
    return content
