"""Locks a study, so that only one run works on it.

The lock belongs to the operating system (a file lock) or the database server (a lock of a connection); it is
not a row. So it is released after a crash of the program, the machine or the network, and never has to be
removed by hand.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tvmerge._util.locking import is_locked, locked
from tvmerge._util.real_path import real_path
from tvmerge._util.urls import shown_url
from tvmerge.errors import StudyError
from tvmerge.study.storage import translated
from tvmerge.study.storage_url import read_url, sqlite_file

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import URL, Connection

_TAKE = {
    "postgresql": "SELECT pg_try_advisory_lock(:number)",
    "mysql": "SELECT GET_LOCK(:name, 0)",
}
"""Acquires the lock until the connection ends, or returns at once that it is taken."""

_PG_LOCKS = (
    "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database "
    "WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND datname = current_database() "
    "AND (classid::bigint << 32 | objid::bigint) = :number"
)

_HELD = {
    "postgresql": _PG_LOCKS,
    "mysql": "SELECT IS_USED_LOCK(:name) IS NOT NULL",
}
"""Returns whether any connection holds the lock."""

_HELD_HERE = {
    "postgresql": f"{_PG_LOCKS} AND pid = pg_backend_pid()",
    "mysql": "SELECT COALESCE(IS_USED_LOCK(:name) = CONNECTION_ID(), FALSE)",
}
"""Returns whether this connection holds the lock."""

_KEEP_ALIVE = {
    # A machine that loses power does not close its connection: with these the server notices within a minute.
    "postgresql": (
        "SET tcp_keepalives_idle = 30",
        "SET tcp_keepalives_interval = 10",
        "SET tcp_keepalives_count = 3",
        # Older servers do not have this setting.
        "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'",
    ),
    "mysql": ("SET SESSION wait_timeout = 31536000",),
}


@contextmanager
def study_lock(storage: str, study: str) -> Iterator[Callable[[], None]]:
    """Lock a study, or the whole file of an SQLite storage, for this process.

    Yields:
        A check that the lock is still held, to be called from one thread at a time. It raises `StudyError` if
        the lock was lost, because the server restarted or considered the connection dead. A file lock lasts
        as long as the process.

    Raises:
        StudyError: Another process holds the lock, or the storage cannot be reached.
    """
    file = sqlite_file(storage)
    if file is None:
        with _server_lock(storage, study) as check:
            yield check
        return
    folder, name = _lock_of(file)
    with locked(folder, name):
        yield lambda: None


@contextmanager
def _server_lock(storage: str, study: str) -> Iterator[Callable[[], None]]:
    with translated(storage):
        connection = _connect(read_url(storage))
    try:
        with translated(storage):
            taken = _ask(connection, _TAKE, study)
        if not taken:
            raise StudyError(
                f"another tvmerge is using study '{study}' in {shown_url(storage)}; wait for it, "
                "or choose another --study-name"
            )
        yield lambda: _check_held(connection, storage, study)
    finally:
        with contextlib.suppress(Exception):  # the server releases the lock of a broken connection
            connection.close()


def is_study_locked(storage: str, study: str) -> bool:
    """Return whether a process has locked the study, without locking it.

    Raises:
        StudyError: The storage cannot be reached.
    """
    file = sqlite_file(storage)
    if file is not None:
        return is_locked(*_lock_of(file))
    with translated(storage), _connect(read_url(storage)) as connection:
        return _ask(connection, _HELD, study)


def _check_held(connection: Connection, storage: str, study: str) -> None:
    from sqlalchemy.exc import SQLAlchemyError

    try:
        held = _ask(connection, _HELD_HERE, study)
    except SQLAlchemyError:
        held = False
    if not held:
        raise StudyError(
            f"the lock on study '{study}' in {shown_url(storage)} was lost (the server restarted, or "
            "was unreachable for too long); finished trials are kept: run the same command again to resume"
        )


def _lock_of(file: Path) -> tuple[Path, str]:
    """Return the folder and name of the lock, of the file itself even if reached through links."""
    real = real_path(file)
    return real.parent, f".{real.name}.lock"


def _connect(url: URL) -> Connection:
    """Open a separate connection outside of any pool."""
    from sqlalchemy import NullPool, create_engine, text

    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    connection = engine.connect()
    for statement in _KEEP_ALIVE[_kind(connection)]:
        connection.execute(text(statement))
    return connection


def _ask(connection: Connection, statements: dict[str, str], study: str) -> bool:
    from sqlalchemy import text

    # MySQL's locks are shared by the whole server, so the name includes the database.
    key = hashlib.sha256(f"{connection.engine.url.database}/{study}".encode()).digest()
    names = {"number": int.from_bytes(key[:8], "big", signed=True), "name": f"tvmerge:{key.hex()[:40]}"}
    statement = text(statements[_kind(connection)])
    used = {name: value for name, value in names.items() if f":{name}" in statement.text}
    return bool(connection.execute(statement, used).scalar())


def _kind(connection: Connection) -> str:
    return "postgresql" if connection.dialect.name == "postgresql" else "mysql"
