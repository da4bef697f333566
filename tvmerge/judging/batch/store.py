"""Records batches on disk before they are sent, so that a killed run can find them."""

from __future__ import annotations

import math
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tvmerge._util.sqlite_files import GuardedConnection, check_columns, check_files
from tvmerge.errors import UserError

_TABLES = (
    "CREATE TABLE IF NOT EXISTS batches (number INTEGER PRIMARY KEY, judge TEXT NOT NULL, mark TEXT NOT "
    "NULL, planned REAL NOT NULL, tried REAL, id TEXT, received INTEGER NOT NULL DEFAULT 0)",
    "CREATE TABLE IF NOT EXISTS requests (number INTEGER PRIMARY KEY, batch INTEGER NOT NULL "
    "REFERENCES batches (number), key TEXT NOT NULL, cost REAL NOT NULL, result TEXT)",
)


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """A request of a batch.

    Attributes:
        number: Its row.
        key: The request's key.
        cost: The most it can cost in USD.
        result: Its result as JSON text; None if there is none yet.
    """

    number: int
    key: str
    cost: float
    result: str | None = None


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """A batch.

    Attributes:
        number: Its row.
        mark: Identifies it at the provider.
        planned: When it was recorded, in seconds since 1970.
        tried: When its creation was attempted; None if it never was, so that it does not exist.
        id: The provider's id of it; empty while unknown.
        received: Whether its results are stored.
        requests: Its requests.
    """

    number: int
    mark: str
    planned: float
    tried: float | None
    id: str
    received: bool
    requests: tuple[StoredRequest, ...]


class BatchStore:
    """The batches of one run, used by one process at a time; each method is one transaction.

    Args:
        path: The file, created if missing.

    Raises:
        UserError: The file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            check_files(path)
            self._database = sqlite3.connect(
                path, check_same_thread=False, timeout=60, isolation_level=None, factory=GuardedConnection
            )
            # Bytes that are no text must not hide the batches: their results are fetched again.
            self._database.text_factory = lambda content: content.decode("utf-8", "replace")
            # Records of what was paid for must survive a power failure.
            self._database.execute("PRAGMA synchronous = FULL")
            for statement in _TABLES:
                self._database.execute(statement)
            check_columns(self._database, _TABLES)
        except (sqlite3.Error, OSError) as error:
            raise UserError(f"{path}: the list of batches cannot be opened: {error}") from error

    def batches(self, judge: str) -> tuple[StoredBatch, ...]:
        """Return the batches of a judge in the order they were planned."""
        with self._transaction() as database:
            rows = database.execute(
                "SELECT number, mark, planned, tried, id, received FROM batches WHERE judge = ? "
                "ORDER BY number",
                (judge,),
            ).fetchall()
            return tuple(self._batch(database, row) for row in rows)

    def _batch(self, database: sqlite3.Connection, row: Sequence[Any]) -> StoredBatch:
        """Return a batch from its row, in a table in which another program may have stored anything.

        Raises:
            UserError: A value is of another type.
        """
        number, mark, planned, tried, name, got = row
        requests = _requests(database, number)
        if not (
            isinstance(mark, str)
            and _is_number(planned)
            and (tried is None or _is_number(tried))
            and isinstance(name, str | None)
            and all(isinstance(one.key, str) and _is_number(one.cost) and one.cost >= 0 for one in requests)
        ):
            raise UserError(
                f"{self.path}: batch {number} in the list of batches is damaged; restore the file, or move "
                "it away and pay for its batches again"
            )
        return StoredBatch(number, mark, planned, tried, name or "", bool(got), requests)

    def ids(self) -> frozenset[str]:
        """Return the provider's ids of all batches."""
        with self._transaction() as database:
            rows = database.execute("SELECT id FROM batches WHERE id IS NOT NULL").fetchall()
        return frozenset(name for (name,) in rows)

    def plan(self, judge: str, mark: str, requests: Sequence[tuple[str, float]], now: float) -> StoredBatch:
        """Record that the requests with these keys and maximum costs are about to be sent."""
        with self._transaction() as database:
            number = database.execute(
                "INSERT INTO batches (judge, mark, planned) VALUES (?, ?, ?)", (judge, mark, now)
            ).lastrowid
            database.executemany(
                "INSERT INTO requests (batch, key, cost) VALUES (?, ?, ?)",
                ((number, key, cost) for key, cost in requests),
            )
            assert number is not None
            return StoredBatch(number, mark, now, None, "", False, _requests(database, number))

    def trying(self, batch: int, now: float) -> None:
        """Record that a batch is about to be created, so that it may exist from now on."""
        with self._transaction() as database:
            database.execute("UPDATE batches SET tried = ? WHERE number = ?", (now, batch))

    def made(self, batch: int, name: str) -> None:
        """Record the provider's id of a batch."""
        with self._transaction() as database:
            database.execute("UPDATE batches SET id = ? WHERE number = ?", (name, batch))

    def receive(self, batch: int, results: Mapping[int, str]) -> None:
        """Record the results of a batch by the rows of its requests, all in one transaction."""
        with self._transaction() as database:
            database.executemany(
                "UPDATE requests SET result = ? WHERE number = ?",
                ((text, number) for number, text in results.items()),
            )
            database.execute("UPDATE batches SET received = 1 WHERE number = ?", (batch,))

    def forget(self, batch: int) -> None:
        """Delete a batch that was never created."""
        with self._transaction() as database:
            _forget(database, batch)

    def used(self, requests: Iterable[int]) -> None:
        """Delete requests whose results were used, and batches that have no requests left."""
        with self._transaction() as database:
            database.executemany("DELETE FROM requests WHERE number = ?", ((number,) for number in requests))
            database.execute(
                "DELETE FROM batches WHERE number NOT IN (SELECT batch FROM requests)",
            )

    def close(self) -> None:
        """Close the file, and delete it if it is empty."""
        with self._transaction() as database:
            left = database.execute("SELECT 1 FROM batches LIMIT 1").fetchone()
        self._database.close()
        if left is None:
            self.path.unlink(missing_ok=True)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._database.execute("BEGIN IMMEDIATE")
                with self._database:
                    yield self._database
            except sqlite3.Error as error:
                raise UserError(f"{self.path}: the list of batches cannot be written: {error}") from error


def _requests(database: sqlite3.Connection, batch: int) -> tuple[StoredRequest, ...]:
    rows = database.execute(
        "SELECT number, key, cost, result FROM requests WHERE batch = ? ORDER BY number", (batch,)
    )
    return tuple(StoredRequest(*row) for row in rows)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _forget(database: sqlite3.Connection, batch: int) -> None:
    database.execute("DELETE FROM requests WHERE batch = ?", (batch,))
    database.execute("DELETE FROM batches WHERE number = ?", (batch,))
