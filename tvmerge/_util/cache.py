"""A store for expensive results, addressed by the content that produced them.

Built on diskcache (SQLite in WAL mode, shared by concurrent processes, safe under kill -9) with three of
its defaults turned off: values are JSON text and a pickled row is refused (a cache file from elsewhere
must not run code), nothing is ever evicted, and the folder is the user's alone.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diskcache
from diskcache.core import MODE_PICKLE, UNKNOWN

from tvmerge.errors import UserError

SCHEMA = 1
"""Part of every stored row: a row of another schema is not read."""


@dataclass(frozen=True, slots=True)
class Stranger:
    """A key that tvmerge did not write, as it is in the database: a pickled one is never loaded.

    Attributes:
        key: The column `key`.
        raw: The column `raw`: false where the key is pickled.
    """

    key: Any
    raw: bool

    def __str__(self) -> str:
        return f"a cache key must be text, got {self.key!r}" if self.raw else "a pickled key"


class _JsonDisk(diskcache.Disk):
    """Keys and values are text; what would be unpickled is a `Stranger` as a key, and an error as a value."""

    def get(self, key: Any, raw: bool) -> Any:
        return key if raw and isinstance(key, str) else Stranger(key, raw)

    def put(self, key: Any) -> Any:
        return (key.key, key.raw) if isinstance(key, Stranger) else super().put(key)

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> Any:
        if mode == MODE_PICKLE:
            raise UserError("a pickled row of the cache is refused; drop it with `tvmerge cache prune`")
        return super().fetch(mode, filename, value, read)

    def store(self, value: Any, read: bool, key: Any = UNKNOWN) -> Any:
        if not isinstance(value, str):
            raise TypeError("cache values are JSON text")
        return super().store(value, read, key=key)


class ContentCache:
    """Maps SHA-256 keys to JSON values; a damaged row counts as a miss.

    Args:
        folder: Where it lives; made if missing, readable by the user alone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._cache = diskcache.Cache(
                str(folder), disk=_JsonDisk, eviction_policy="none", cull_limit=0, statistics=0, timeout=60
            )
        except Exception as error:
            raise UserError(f"the cache folder {folder} cannot be opened: {error}") from error

    def get(self, key: str) -> Any | None:
        """The value stored under `key`, or None.

        Raises:
            UserError: The row is pickled, and so not tvmerge's.
        """
        row = self._cache.get(key, retry=True)
        return _unpack(row) if isinstance(row, str) else None

    def put(self, key: str, value: object) -> None:
        """Store one value."""
        self.put_many({key: value})

    def put_many(self, values: Mapping[str, object]) -> None:
        """Store several values in one transaction: all of them, or after a crash none.

        Raises:
            UserError: The disk is full, or the folder cannot be written to any more.
        """
        try:
            with self._cache.transact(retry=True):
                for key, value in values.items():
                    self._cache.set(key, _pack(value), retry=True)
        except (sqlite3.Error, OSError) as error:
            raise UserError(f"the cache folder {self._cache.directory} cannot be written: {error}") from error

    def sound(self, key: str) -> bool:
        """Whether the row of `key` can be read and is as it was written."""
        try:
            return self.get(key) is not None
        except UserError:
            return False

    def strangers(self) -> list[Stranger]:
        """Keys that tvmerge did not write; their rows are never read."""
        return [key for key in self._cache if isinstance(key, Stranger)]

    def drop(self, keys: Iterable[str | Stranger]) -> None:
        """Remove rows."""
        with self._cache.transact(retry=True):
            for key in keys:
                self._cache.delete(key, retry=True)

    def volume(self) -> int:
        """Bytes on the disk."""
        return int(self._cache.volume())

    def __contains__(self, key: str) -> bool:
        return key in self._cache

    def __iter__(self) -> Iterator[str]:
        return (key for key in self._cache if isinstance(key, str))

    def __len__(self) -> int:
        return len(self._cache)

    def close(self) -> None:
        """Close the files."""
        self._cache.close()


def _pack(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return f"{SCHEMA}:{_checksum(text)}:{text}"


def _unpack(row: str) -> Any | None:
    schema, _, rest = row.partition(":")
    checksum, _, text = rest.partition(":")
    if schema != str(SCHEMA) or checksum != _checksum(text):
        return None
    return json.loads(text)


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]
