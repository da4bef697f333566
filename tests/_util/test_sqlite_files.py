"""Databases from elsewhere keep nobody waiting."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.study.studies import drive, open_at
from tvmerge._util.cache import ContentCache
from tvmerge._util.claims import Claims
from tvmerge._util.urls import sqlite_url
from tvmerge.errors import StudyError, UserError
from tvmerge.judging.batch.store import BatchStore
from tvmerge.study.storage import open_storage, read_study

ENDLESS = "(WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r)"
COMPUTED = (
    f"CREATE TRIGGER t BEFORE INSERT ON {{table}} BEGIN SELECT {ENDLESS}; END",
    f"CREATE VIEW v AS SELECT {ENDLESS}",
    "CREATE TABLE g (a, b AS (printf('%.*c', 1000000000, a)))",
    "CREATE INDEX i ON {table} (printf('%.*c', 10, 1))",
    "CREATE INDEX i ON {table} (1) WHERE length([zeroblob] (400000000)) > 0",
    "CREATE TABLE g (a DEFAULT (hex(randomblob/**/(400000000))))",
    "CREATE TABLE g (a CHECK (\"printf\"\n('%.*c', 1000000000, a) > ''))",
    "CREATE TRIGGER t AFTER INSERT ON {table} BEGIN DELETE FROM {table}; END",
    "CREATE TABLE g (a CHECK (a LIKE '%a%a%a%a%a%a%a%a%a%b'))",
    f"CREATE TRIGGER t AFTER INSERT ON {{table}} BEGIN DELETE FROM {{table}} WHERE 1 = {ENDLESS}; END",
)


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(statement)


@pytest.mark.parametrize("statement", COMPUTED)
def test_a_database_that_computes_is_refused(tmp_path: Path, statement: str) -> None:
    ContentCache(tmp_path / "cache").close()
    change(tmp_path / "cache" / "cache.db", statement.format(table="Cache"))
    with pytest.raises(UserError, match=r"it computes what is in '\w'; .*move the folder away"):
        ContentCache(tmp_path / "cache")
    Claims(tmp_path / "claims").close()
    change(tmp_path / "claims" / "claims.db", statement.format(table="claims"))
    with pytest.raises(sqlite3.DatabaseError, match="it computes"):
        Claims(tmp_path / "claims")
    file = tmp_path / "batches.db"
    BatchStore(file).plan("judge", "mark", [("key", 1.0)], 0.0)
    change(file, statement.format(table="batches"))
    with pytest.raises(UserError, match="it computes"):
        BatchStore(file)
    place = tmp_path / "study.db"
    drive(lambda: open_at(sqlite_url(place)), 2)
    change(place, statement.format(table="trials"))
    with pytest.raises(StudyError, match="it computes"):
        read_study(sqlite_url(place), "s")
    with pytest.raises(StudyError, match="it computes"):
        open_storage(sqlite_url(place))


@pytest.mark.parametrize("row", ["rowid TEXT", "rowid INTEGER", "rowid INTEGER PRIMARY KEY, more INTEGER"])
def test_a_cache_with_other_columns_is_refused(tmp_path: Path, row: str) -> None:
    ContentCache(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "cache.db")) as database, database:
        (made,) = database.execute("SELECT sql FROM sqlite_master WHERE name = 'Cache'").fetchone()
        database.execute("DROP TABLE Cache")
        database.execute(made.replace("rowid INTEGER PRIMARY KEY", row))
        database.execute("INSERT INTO Cache (rowid, key, raw) VALUES ('1', 'key', 1)")
    with pytest.raises(UserError, match=r"its table 'Cache' has other columns; .*move the folder away"):
        ContentCache(tmp_path)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE batches SET planned = 'yesterday'",
        "UPDATE batches SET mark = x'00'",
        "UPDATE batches SET tried = 'x'",
        "UPDATE batches SET planned = 9e999",
        "UPDATE requests SET cost = 'much'",
        "UPDATE requests SET cost = -1",
        "UPDATE requests SET key = x'ff'",
    ],
)
def test_a_batch_with_values_of_other_types_is_one_line(tmp_path: Path, statement: str) -> None:
    file = tmp_path / "batches.db"
    BatchStore(file).plan("judge", "mark", [("key", 1.0)], 100.0)
    change(file, statement)
    with pytest.raises(UserError, match="batch 1 in the list of batches is damaged; restore the file"):
        BatchStore(file).batches("judge")


def test_the_triggers_of_earlier_releases_may_stay(tmp_path: Path) -> None:
    ContentCache(tmp_path).close()
    change(tmp_path / "cache.db", "CREATE TABLE Settings (key TEXT, value)")
    change(
        tmp_path / "cache.db",
        "CREATE TRIGGER Settings_count_insert AFTER INSERT ON Cache FOR EACH ROW BEGIN "
        "UPDATE Settings SET value = value + 1 WHERE key = 'count'; END",
    )
    with closing(ContentCache(tmp_path)) as cache:
        cache.put("a", 1)
        assert cache.get("a") == 1


OPENED: dict[str, tuple[str, Callable[[Path], object]]] = {
    "cache": ("cache.db", lambda path: ContentCache(path.parent)),
    "batches": ("batches.db", BatchStore),
    "study": ("study.db", lambda path: open_storage(sqlite_url(path))),
    "study to read": ("study.db", lambda path: read_study(sqlite_url(path), "s")),
}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
@pytest.mark.parametrize("kind", OPENED)
def test_a_pipe_beside_a_database_is_not_waited_for(kind: str, tmp_path: Path) -> None:
    name, opened = OPENED[kind]
    with closing(sqlite3.connect(tmp_path / name)) as database, database:
        database.execute("CREATE TABLE x (a)")
    os.mkfifo(tmp_path / f"{name}-journal")
    with pytest.raises((UserError, StudyError), match=f"{name}-journal is a pipe and not a file"):
        opened(tmp_path / name)
