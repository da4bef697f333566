"""Says which process is working on a key, so that no other does the same work meanwhile.

A claim is a row of SQLite. Its owner holds a lock on a file, which the operating system releases when the
process ends in any way, and counts up a heartbeat, which ceases when the process is stopped. So a claim is
free again when it is let go, at once when its owner has died, and after `SILENCE` seconds when its owner is
stopped.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock, Thread
from uuid import uuid4

from tvmerge._util.private import make_private
from tvmerge._util.sqlite_files import GuardedConnection, check_columns, check_files

BEAT = 5.0
"""Seconds between two heartbeats of an owner."""

SILENCE = 60.0
"""Seconds without a heartbeat after which a claim is taken over."""

_OWNER = re.compile("[0-9a-f]{32}")

_PATIENCE = 10.0
"""Seconds to wait for another process that is writing."""

_TABLES = (
    "CREATE TABLE IF NOT EXISTS owners (owner TEXT PRIMARY KEY, beat INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS claims (key TEXT PRIMARY KEY, owner TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS claims_owner ON claims (owner)",
)


@dataclass(slots=True)
class _Heard:
    """What was heard of another owner: its last heartbeat, since when, and when it was last asked for."""

    beat: object
    since: float
    looked: float


class Claims:
    """One owner of claims, who gives signs of life until it is closed; it may be used by several threads.

    Args:
        folder: Where claims are kept; created if missing.
        clock: Returns the time in seconds.
        beat: Seconds between two signs of life.

    Raises:
        OSError, sqlite3.Error: The folder cannot be used. The other methods raise these, too.
    """

    def __init__(
        self, folder: Path, *, clock: Callable[[], float] = time.monotonic, beat: float = BEAT
    ) -> None:
        from filelock import FileLock

        make_private(folder)
        self._folder = folder
        self._clock = clock
        self._lock = Lock()
        self._heard: dict[str, _Heard] = {}
        self._owner = uuid4().hex
        self._database = _opened(folder / "claims.db")
        self._closed = Event()
        self._heart = Thread(target=self._live, args=(beat,), name="claims", daemon=True)
        self._alive = FileLock(self._lock_of(self._owner), thread_local=False)
        try:
            # Held before anyone can see a claim of this owner.
            self._alive.acquire(timeout=0)
            self._begin()
            self._heart.start()
        except BaseException:
            self.abandon()
            raise

    def take(self, keys: Sequence[str]) -> list[bool]:
        """Claim keys; return for each whether this owner has the claim now."""
        with self._writing():
            return [self._take(key) for key in keys]

    def taken(self, keys: Sequence[str]) -> list[bool]:
        """Return for each key whether another owner that is at work has the claim."""
        with self._lock:
            owners = [self._owner_of(key) for key in keys]
            idle = {owner for owner in set(owners) if owner is not None and self._is_idle(owner)}
        return [owner is not None and owner != self._owner and owner not in idle for owner in owners]

    def let_go(self, keys: Sequence[str]) -> None:
        """Give up claims; those that were taken over meanwhile stay as they are."""
        with self._writing():
            self._database.executemany(
                "DELETE FROM claims WHERE key = ? AND owner = ?", [(key, self._owner) for key in keys]
            )

    def close(self) -> None:
        """Give up all claims."""
        self._rest()
        try:
            with self._writing():
                self._forget(self._owner)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """End without writing to the database: all claims are free then, since their owner has ended."""
        self._rest()
        self._database.close()
        self._alive.release()
        with suppress(OSError):
            self._lock_of(self._owner).unlink(missing_ok=True)

    def _begin(self) -> None:
        with self._writing():
            self._database.execute("INSERT INTO owners VALUES (?, 0)", (self._owner,))
            for (owner,) in self._database.execute("SELECT owner FROM owners").fetchall():
                if owner != self._owner and self._has_ended(owner):
                    self._forget(owner)

    def _rest(self) -> None:
        """End the signs of life."""
        self._closed.set()
        if self._heart.is_alive():
            self._heart.join()

    def _live(self, every: float) -> None:
        while not self._closed.wait(every):
            # Others take over what is claimed by an owner whose signs of life cannot be written.
            with suppress(sqlite3.Error), self._writing():
                self._database.execute("UPDATE owners SET beat = beat + 1 WHERE owner = ?", (self._owner,))

    def _take(self, key: str) -> bool:
        self._database.execute("INSERT OR IGNORE INTO claims VALUES (?, ?)", (key, self._owner))
        owner = self._owner_of(key)
        if owner == self._owner:
            return True
        if owner is None or not self._is_idle(owner):
            return False
        self._database.execute("UPDATE claims SET owner = ? WHERE key = ?", (self._owner, key))
        return True

    def _owner_of(self, key: str) -> str | None:
        row = self._database.execute("SELECT owner FROM claims WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def _is_idle(self, owner: str) -> bool:
        """Return whether another owner has ended, or does nothing."""
        return owner != self._owner and (self._has_ended(owner) or self._is_silent(owner))

    def _has_ended(self, owner: str) -> bool:
        from filelock import FileLock, Timeout

        path = self._lock_of(owner)
        # In a cache from elsewhere, an owner or a link may name any file, which opening it would empty.
        if not _is_owner(owner) or path.is_symlink() or not path.exists():
            return True
        try:
            with FileLock(path, timeout=0):
                return True
        except Timeout:
            return False

    def _is_silent(self, owner: str) -> bool:
        """Return whether an owner's heartbeat has not changed for `SILENCE` seconds."""
        row = self._database.execute("SELECT beat FROM owners WHERE owner = ?", (owner,)).fetchone()
        # In a cache from elsewhere it may be anything; only a change counts.
        beat, now = (None if row is None else row[0]), self._clock()
        heard = self._heard.get(owner)
        # Whoever did not listen, because this process was stopped itself, has heard nothing.
        if heard is None or heard.beat != beat or now - heard.looked > 2 * BEAT:
            self._heard[owner] = _Heard(beat, now, now)
            return False
        heard.looked = now
        return now - heard.since >= SILENCE

    def _forget(self, owner: str) -> None:
        self._database.execute("DELETE FROM claims WHERE owner = ?", (owner,))
        self._database.execute("DELETE FROM owners WHERE owner = ?", (owner,))
        if owner != self._owner and _is_owner(owner):
            with suppress(OSError):  # it lies there for the next one to remove
                self._lock_of(owner).unlink(missing_ok=True)

    def _lock_of(self, owner: str) -> Path:
        return self._folder / f"{owner}.lock"

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Open a transaction, which is undone if it fails."""
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._database.execute("ROLLBACK")
                raise


def _is_owner(owner: object) -> bool:
    return isinstance(owner, str) and _OWNER.fullmatch(owner) is not None


def _opened(path: Path) -> sqlite3.Connection:
    if path.is_symlink():
        raise OSError(f"{path.name} is a link")
    check_files(path)
    # Claims need not outlive a crash of the machine, so nothing waits for the disk.
    database = sqlite3.connect(
        path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False, factory=GuardedConnection
    )
    try:
        database.execute("PRAGMA synchronous = OFF")
        database.execute("BEGIN IMMEDIATE")
        for statement in _TABLES:
            database.execute(statement)
        database.execute("COMMIT")
        check_columns(database, _TABLES)
    except sqlite3.Error:
        database.close()
        raise
    return database
