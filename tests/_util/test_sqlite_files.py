"""Databases from elsewhere keep nobody waiting."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

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
)


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(statement)


@pytest.mark.parametrize("statement", COMPUTED, ids=["trigger", "view", "column"])
def test_a_database_that_computes_is_refused(tmp_path: Path, statement: str) -> None:
    ContentCache(tmp_path / "cache").close()
    change(tmp_path / "cache" / "cache.db", statement.format(table="Cache"))
    with pytest.raises(UserError, match=r"it computes what is in '\w'; .*move the folder away"):
        ContentCache(tmp_path / "cache")
    Claims(tmp_path / "claims").close()
    change(tmp_path / "claims" / "claims.db", statement.format(table="claims"))
    with pytest.raises(sqlite3.DatabaseError, match="it computes"):
        Claims(tmp_path / "claims")


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
