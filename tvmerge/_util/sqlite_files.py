"""Looks at a database of SQLite that may come from elsewhere, before anything in it is read or run."""

from __future__ import annotations

import errno
import re
import sqlite3
import stat
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from tvmerge._util.regular import kind_of

_BESIDE = ("", "-journal", "-wal", "-shm")
"""What SQLite adds to the name of a database for the files that it keeps beside it."""

_COMPUTED = """
SELECT m.name FROM sqlite_master AS m, pragma_table_xinfo(m.name) AS c WHERE m.type = 'table' AND c.hidden
LIMIT 1
"""
"""Finds a column that is computed where a table is read or written."""

_COUNTS = re.compile(
    r"CREATE TRIGGER \w+ AFTER (INSERT|UPDATE|DELETE) ON Cache FOR EACH ROW BEGIN UPDATE Settings "
    r"SET value = value [-+] [\w. +-]+ WHERE key = \W(count|size)\W; END",
    re.IGNORECASE,
)
"""diskcache's triggers, which count rows. Others may start each other, twice each, for ever."""

_WORKS = re.compile(r"\b(like|glob|match|regexp)\b|/\*|--", re.IGNORECASE)
"""Operators that may search a text for ever in a condition, and comments, which could hide a function."""

_CALLS = re.compile(r"""(\w+)["`\]]?\s?\(""")
"""What may be the call of a function."""

_TYPES = frozenset({"char"})
"""Functions that take little, with the name of a type."""

_MOST = 1000
"""Tables, indexes and triggers of a database at most."""


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


class GuardedConnection(sqlite3.Connection):
    """A connection to a database that may come from elsewhere, in which nothing is computed for others.

    Raises:
        sqlite3.Error: Reading or writing the database would compute something.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        try:
            _check_schema(self)
        except sqlite3.Error:
            self.close()
            raise


GUARDED = {"factory": GuardedConnection}
"""What other libraries pass on to `sqlite3.connect`."""


def check_columns(database: sqlite3.Connection, layout: Iterable[str]) -> None:
    """Check that tables have the columns that they are made with.

    Args:
        database: The database.
        layout: The statements that make the tables.

    Raises:
        sqlite3.Error: One has others.
    """
    with closing(sqlite3.connect(":memory:")) as sound:
        for statement in layout:
            sound.execute(statement)
        for (name,) in sound.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            columns = f"PRAGMA table_info({name})"
            if database.execute(columns).fetchall() != sound.execute(columns).fetchall():
                raise sqlite3.DatabaseError(f"its table '{name}' has other columns")


def _check_schema(database: sqlite3.Connection) -> None:
    """Check that reading or writing the tables of a database computes nothing.

    Raises:
        sqlite3.Error: It has a view, a trigger, a column that is computed, or a condition, a default or an
            index that calls a function or searches a text.
    """
    functions = {
        name.lower() for (name,) in database.execute("SELECT name FROM pragma_function_list")
    } - _TYPES
    rows = database.execute("SELECT type, name, sql FROM sqlite_master LIMIT ?", (_MOST + 1,)).fetchall()
    if len(rows) > _MOST:
        raise sqlite3.DatabaseError(f"it has more than {_MOST:,} tables and indexes")
    for kind, name, statement in rows:
        text = " ".join(str(statement or "").split())
        calls = {call.lower() for call in _CALLS.findall(text)}
        fine = kind in {"table", "index"} and not _WORKS.search(text) and calls.isdisjoint(functions)
        if not (fine or (kind == "trigger" and _COUNTS.fullmatch(text))):
            raise sqlite3.DatabaseError(f"it computes what is in '{name}'")
    if (found := database.execute(_COMPUTED).fetchone()) is not None:
        raise sqlite3.DatabaseError(f"it computes what is in '{found[0]}'")
