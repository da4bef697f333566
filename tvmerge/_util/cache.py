"""A content-addressed cache of expensive results.

It is built on diskcache (SQLite in WAL mode, shared by concurrent processes, safe under kill -9) with three
differences: values are JSON text and pickled rows are rejected (a cache file from elsewhere must not run
code), nothing is evicted, and only the user can read the folder.
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

from tvmerge._util.parsing import parse_json
from tvmerge.errors import UserError

SCHEMA = 1
"""Stored with every row; rows of another schema are not read."""


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A key that tvmerge did not write, as stored in the database; a pickled one is never loaded.

    Attributes:
        key: The column `key`.
        raw: The column `raw`, which is false if the key is pickled.
    """

    key: Any
    raw: bool

    def __str__(self) -> str:
        return f"a cache key must be text, got {self.key!r}" if self.raw else "a pickled key"


class _JsonDisk(diskcache.Disk):
    """Stores keys and values as text; a pickled key is read as `ForeignKey`, a pickled value raises."""

    def get(self, key: Any, raw: bool) -> Any:
        return key if raw and isinstance(key, str) else ForeignKey(key, raw)

    def put(self, key: Any) -> Any:
        return (key.key, key.raw) if isinstance(key, ForeignKey) else super().put(key)

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> Any:
        if mode == MODE_PICKLE:
            raise UserError(
                "the cache has a pickled row, which is not read; remove it with `tvmerge cache prune`"
            )
        return super().fetch(mode, filename, value, read)

    def store(self, value: Any, read: bool, key: Any = UNKNOWN) -> Any:
        if not isinstance(value, str):
            raise TypeError("cache values are JSON text")
        return super().store(value, read, key=key)


class ContentCache:
    """Maps SHA-256 keys to JSON values; damaged rows count as missing.

    Args:
        folder: Its folder; created if missing, readable only by the user.
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
        """Return the value stored under `key`, or None.

        Raises:
            UserError: The row is pickled, so tvmerge did not write it.
        """
        row = self._cache.get(key, retry=True)
        return _unpack(row) if isinstance(row, str) else None

    def put(self, key: str, value: object) -> None:
        """Store one value."""
        self.put_many({key: value})

    def put_many(self, values: Mapping[str, object]) -> None:
        """Store several values in one transaction: all of them, or none after a crash.

        Raises:
            UserError: The disk is full or the folder cannot be written.
        """
        try:
            with self._cache.transact(retry=True):
                for key, value in values.items():
                    self._cache.set(key, _pack(value), retry=True)
        except (sqlite3.Error, OSError) as error:
            raise UserError(f"the cache folder {self._cache.directory} cannot be written: {error}") from error

    def sound(self, key: str) -> bool:
        """Return whether the row of `key` can be read and is unchanged."""
        try:
            return self.get(key) is not None
        except UserError:
            return False

    def strangers(self) -> list[ForeignKey]:
        """Return the keys that tvmerge did not write; their rows are never read."""
        return [key for key in self._cache if isinstance(key, ForeignKey)]

    def drop(self, keys: Iterable[str | ForeignKey]) -> None:
        """Delete rows."""
        with self._cache.transact(retry=True):
            for key in keys:
                self._cache.delete(key, retry=True)

    def volume(self) -> int:
        """Return the size on disk in bytes."""
        return int(self._cache.volume())

    def __contains__(self, key: str) -> bool:
        return key in self._cache

    def __iter__(self) -> Iterator[str]:
        return (key for key in self._cache if isinstance(key, str))

    def __len__(self) -> int:
        return len(self._cache)

    def close(self) -> None:
        """Close the cache."""
        self._cache.close()


def _pack(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return f"{SCHEMA}:{_checksum(text)}:{text}"


def _unpack(row: str) -> Any | None:
    schema, _, rest = row.partition(":")
    checksum, _, text = rest.partition(":")
    if schema != str(SCHEMA) or checksum != _checksum(text):
        return None
    return parse_json(text)


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]
