"""A content-addressed cache of expensive results.

It is a table of SQLite in WAL mode, shared by concurrent processes and safe under kill -9. Values are JSON
text with a checksum. Nothing is evicted, nothing is unpickled, and only the user can read the folder. The
table has the layout of diskcache, which earlier releases used and which put long values into files.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain
from pathlib import Path
from threading import RLock
from typing import Any

from tvmerge._util.cache_rows import INLINE, Row, lenient, own_file, pack, read_row
from tvmerge._util.private import make_private
from tvmerge._util.sqlite_files import GuardedConnection, check_columns, check_files
from tvmerge.errors import UserError

DATABASE = "cache.db"

_PATIENCE = 60.0
"""Seconds to wait for another process that is writing."""

_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

_PAGE = 500
"""Number of rows that are read at once."""

_ROWS = 100
"""Number of rows that a statement writes; SQLite takes 999 values in all of its versions."""

_LAYOUT = (
    "CREATE TABLE IF NOT EXISTS Cache (rowid INTEGER PRIMARY KEY, key BLOB, raw INTEGER, store_time REAL, "
    "expire_time REAL, access_time REAL, access_count INTEGER DEFAULT 0, tag BLOB, size INTEGER DEFAULT 0, "
    "mode INTEGER DEFAULT 0, filename TEXT, value BLOB)",
    "CREATE UNIQUE INDEX IF NOT EXISTS Cache_key_raw ON Cache(key, raw)",
)
_BY_KEY = "SELECT rowid, key, raw, mode, filename, value FROM Cache WHERE key = ? AND raw = 1"
_BY_NUMBER = (
    "SELECT rowid, key, raw, mode, filename, value FROM Cache WHERE rowid >= ? AND rowid <= ? "
    "ORDER BY rowid LIMIT ?"
)
_IN_FILES = "SELECT filename FROM Cache WHERE key IN ({}) AND raw = 1 AND filename NOTNULL"
_COLUMNS = "(?, 1, ?, ?, 0, ?, ?)"
_REPLACE = (
    "INSERT INTO Cache(key, raw, store_time, access_time, size, mode, value) VALUES {} "
    "ON CONFLICT(key, raw) DO UPDATE SET store_time = excluded.store_time, "
    "access_time = excluded.access_time, size = 0, mode = excluded.mode, filename = NULL, "
    "value = excluded.value"
)


class ContentCache:
    """Maps SHA-256 keys to JSON values; damaged rows count as missing.

    It may be used by several threads.

    Args:
        folder: Its folder; created if missing, readable only by the user.
        note: Called with a line for the first damaged row that is asked for, or if the folder is removed.
        durable: Whether what is stored outlives a power failure, and not only the end of the process.

    Raises:
        UserError: The folder cannot be opened.
    """

    def __init__(
        self, folder: Path, *, note: Callable[[str], None] = lambda _: None, durable: bool = False
    ) -> None:
        self.folder = folder
        self.note = note
        self._lock = RLock()
        self._noted = False
        self._durable = durable
        self._file: tuple[int, int] | None = None
        self._database: sqlite3.Connection | None = None
        self._open()

    def get(self, key: str) -> Any | None:
        """Return the value stored under `key`, or None.

        Raises:
            UserError: The database cannot be read.
        """
        row = self.row(key)
        if row is not None and row.fault and not self._noted:
            self._noted = True
            self.note(
                f"the cache folder {self.folder} has a damaged row, which counts as missing: {row.fault}; "
                "`tvmerge cache verify` lists all of them"
            )
        return None if row is None else row.value

    def row(self, key: str) -> Row | None:
        """Return the row of `key`, sound or not; None if there is none.

        Raises:
            UserError: The database cannot be read.
        """
        found = self._ask(_BY_KEY, key)
        return read_row(self.folder, found[0]) if found else None

    def rows(self) -> Iterator[Row]:
        """Yield all rows that are there now, sound or not, in the order in which they were stored.

        Raises:
            UserError: The database cannot be read.
        """
        ((first, last),) = self._ask("SELECT min(rowid), max(rowid) FROM Cache")
        while first is not None and first <= last:
            page = self._ask(_BY_NUMBER, first, last, _PAGE)
            for columns in page:
                yield read_row(self.folder, columns)
            if not page or page[-1][0] == last:
                return
            first = page[-1][0] + 1

    def put(self, key: str, value: object) -> None:
        """Store one value."""
        self.put_many({key: value})

    def put_many(self, values: Mapping[str, object]) -> None:
        """Store several values in one transaction: all of them, or none after a crash.

        Raises:
            UserError: The disk is full or the folder cannot be written.
        """
        self.put_packed({key: pack(value) for key, value in values.items()})

    def put_packed(self, values: Mapping[str, str]) -> None:
        """Like `put_many`, for values that `tvmerge._util.cache_rows.pack` has made texts of.

        Raises:
            UserError: The disk is full or the folder cannot be written.
        """
        now = time.time()
        packed = [(key, now, now, INLINE, text) for key, text in values.items()]
        replaced: list[object] = []
        with self._writing() as database:
            # Few statements: after each, a thread may wait for a busy one, such as that of the event loop.
            for start in range(0, len(packed), _ROWS):
                rows = packed[start : start + _ROWS]
                keys = [key for key, *_ in rows]
                old = database.execute(_IN_FILES.format(", ".join("?" * len(rows))), keys)
                replaced += [filename for (filename,) in old]
                database.execute(_REPLACE.format(", ".join([_COLUMNS] * len(rows))), list(chain(*rows)))
        self._remove(replaced)

    def drop(self, numbers: Collection[int]) -> None:
        """Delete the rows with these numbers, with their files if these are the cache's own.

        Raises:
            UserError: The folder cannot be written.
        """
        files: list[object] = []
        with self._writing() as database:
            for number in numbers:
                found = database.execute("SELECT filename FROM Cache WHERE rowid = ?", (number,))
                files += [filename for (filename,) in found if filename is not None]
                database.execute("DELETE FROM Cache WHERE rowid = ?", (number,))
        self._remove(files)

    def volume(self) -> int:
        """Return the size on disk in bytes."""
        sizes = 0
        for place, _, names in os.walk(self.folder):
            for name in names:
                with suppress(FileNotFoundError):  # another process may have removed it
                    sizes += Path(place, name).lstat().st_size
        return sizes

    def __contains__(self, key: str) -> bool:
        return self.row(key) is not None

    def __iter__(self) -> Iterator[str]:
        return (row.key for row in self.rows() if row.ours)

    def __len__(self) -> int:
        return int(self._ask("SELECT count(*) FROM Cache")[0][0])

    def close(self) -> None:
        """Close the database; it is opened again when it is used."""
        with self._lock:
            if self._database is not None:
                self._database.close()
            self._database = None

    def _open(self) -> sqlite3.Connection:
        """Return the open database."""
        with self._lock:
            if self._database is None:
                try:
                    make_private(self.folder)
                    opening = partial(_opened, durable=self._durable)
                    self._database = _patiently(opening, self.folder / DATABASE)
                    self._file = _identity(self.folder / DATABASE)
                except (sqlite3.Error, OSError) as error:
                    raise self._error("opened", error) from error
            return self._database

    def _leave_removed(self) -> None:
        """Close a database whose file was removed or replaced: what is written there would be lost."""
        if self._database is not None and _identity(self.folder / DATABASE) != self._file:
            self.close()
            self.note(f"the cache folder {self.folder} was removed during the run; a new one is used")

    def _ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._open().execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise self._error("read", error) from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction, which is undone if it fails."""
        with self._lock:
            self._leave_removed()
            database = self._open()
            try:
                database.execute("BEGIN IMMEDIATE")
                try:
                    yield database
                    database.execute("COMMIT")
                except BaseException:
                    with suppress(sqlite3.Error):  # SQLite undoes it by itself if the disk is full
                        database.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise self._error("written", error) from error

    def _remove(self, filenames: Collection[object]) -> None:
        for filename in filenames:
            path = own_file(self.folder, filename)
            if path is not None:
                with suppress(OSError):  # nothing names the file any more
                    path.unlink()

    def _error(self, what: str, error: Exception) -> UserError:
        remedy = ""
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
            remedy = "; its database is damaged or not a cache: move the folder away"
        elif what == "opened":
            remedy = "; check that it is a cache and can be written, or move it away"
        return UserError(f"the cache folder {self.folder} cannot be {what}: {error}{remedy}")


def _patiently(opening: Callable[[Path], sqlite3.Connection], path: Path) -> sqlite3.Connection:
    """Return the opened database; others may be opening it, and SQLite's own patience is not for that."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return opening(path)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _BUSY or time.monotonic() > end:
                raise
            time.sleep(0.01)


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what identifies a file, whatever it is called; None if there is none."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_dev, state.st_ino


def _opened(path: Path, *, durable: bool) -> sqlite3.Connection:
    if path.is_symlink():
        # In a cache from elsewhere it may name any database.
        raise OSError(f"{path.name} is a link")
    check_files(path)
    database = sqlite3.connect(
        path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False, factory=GuardedConnection
    )
    try:
        database.text_factory = lenient
        # What a database from elsewhere defines (views, triggers) may call no function with side effects.
        database.execute("PRAGMA trusted_schema = OFF")
        database.execute("PRAGMA auto_vacuum = FULL")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        for statement in _LAYOUT:
            database.execute(statement)
        check_columns(database, _LAYOUT)
    except sqlite3.Error:
        database.close()
        raise
    return database
