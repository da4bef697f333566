"""Parses the URL of a study's storage."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

from tvmerge._util.urls import shown_url
from tvmerge.errors import MissingExtraError, StudyError

if TYPE_CHECKING:
    from sqlalchemy import URL

DRIVERS = {"postgresql": "psycopg", "postgres": "psycopg", "mysql": "pymysql", "mariadb": "pymysql"}
"""The default driver of each database; each is installed by the extra of the database's name."""


def read_url(text: str) -> URL:
    """Return the parts of a storage's URL, including its driver.

    Raises:
        StudyError: It is not the URL of a database that can store and lock a study.
        MissingExtraError: The database's driver is not installed.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:  # ValueError: a port that is no number
        raise StudyError(
            f"--storage {shown_url(text)!r} is not a database URL; use sqlite:///<file>, "
            "postgresql://<user>@<host>/<database> or mysql://<user>@<host>/<database>"
        ) from error
    kind, _, driver = url.drivername.partition("+")
    if kind == "sqlite":
        if url.database in (None, "", ":memory:"):
            raise StudyError(
                "--storage sqlite in memory would lose the study; choose a file: sqlite:///study.db"
            )
        return url
    if kind not in DRIVERS:
        raise StudyError(f"a study cannot be kept in {kind}; use SQLite, PostgreSQL or MySQL")
    driver = driver or DRIVERS[kind]
    extra = "postgresql" if kind.startswith("postgres") else "mysql"
    if importlib.util.find_spec(driver) is None:
        raise MissingExtraError(driver, extra)
    return url.set(drivername=f"{'postgresql' if kind == 'postgres' else kind}+{driver}")


def sqlite_file(text: str) -> Path | None:
    """Return the file of an SQLite storage; None for a database server.

    Raises:
        StudyError: See `read_url`.
    """
    url = read_url(text)
    return Path(url.database or "") if url.drivername.startswith("sqlite") else None


def reading_url(text: str) -> str:
    """Return the URL to read a storage by, which differs for an SQLite file that this user can only read.

    SQLite needs a file of shared memory beside a database with a write-ahead log. Without such a log nobody
    is writing, so the database can be opened as one that does not change.

    Raises:
        StudyError: See `read_url`.
    """
    url, file = read_url(text), sqlite_file(text)
    if file is None or _may_write(file):
        return url.render_as_string(hide_password=False)
    log = file.with_name(f"{file.name}-wal")
    query = {"mode": "ro", "uri": "true", **({} if log.exists() else {"immutable": "1"})}
    return url.set(database=file.absolute().as_uri(), query=query).render_as_string(hide_password=False)


def _may_write(file: Path) -> bool:
    effective = os.access in os.supports_effective_ids
    return all(os.access(place, os.W_OK, effective_ids=effective) for place in (file, file.absolute().parent))
