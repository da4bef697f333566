"""Looks at a database of SQLite that may come from elsewhere, before anything in it is read or run."""

from __future__ import annotations

import errno
import sqlite3
import stat
from pathlib import Path

from tvmerge._util.regular import kind_of

_BESIDE = ("", "-journal", "-wal", "-shm")
"""What SQLite adds to the name of a database for the files that it keeps beside it."""

_COMPUTES = """
SELECT name FROM sqlite_master WHERE type = 'view' OR (type = 'trigger' AND sql LIKE '%SELECT%')
UNION ALL
SELECT m.name FROM sqlite_master AS m, pragma_table_xinfo(m.name) AS c WHERE m.type = 'table' AND c.hidden
LIMIT 1
"""
"""What computes when a table is read or written, and so may do it for ever."""


def check_files(path: Path) -> None:
    """Check that neither a database nor a file beside it is something that SQLite would wait for.

    Raises:
        OSError: One is a pipe, a socket or a device.
    """
    for end in _BESIDE:
        file = path.with_name(path.name + end)
        try:
            mode = file.stat().st_mode
        except OSError:  # there is none, or SQLite says what is wrong with it
            continue
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise OSError(errno.EINVAL, f"{file.name} is {kind_of(mode)} and not a file", str(path))


def check_schema(database: sqlite3.Connection) -> None:
    """Check that reading or writing the tables of a database computes nothing.

    diskcache's triggers, which count rows, may be there.

    Raises:
        sqlite3.Error: It has a view, a trigger with a query, or a column that is computed.
    """
    found = database.execute(_COMPUTES).fetchone()
    if found is not None:
        raise sqlite3.DatabaseError(f"it computes what is in '{found[0]}'")
