"""Storages: files with any name, database servers, one orchestrator each, secrets kept."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from sqlalchemy import NullPool, create_engine, event, inspect
from sqlalchemy.exc import OperationalError

from tests.servers.databases import mysql, postgresql
from tests.study.studies import drive, open_at
from tvmerge._util.urls import sqlite_url
from tvmerge.errors import StudyError
from tvmerge.study.lock import is_study_locked, study_lock
from tvmerge.study.storage import has_study, open_storage, read_study
from tvmerge.study.storage_url import read_url, sqlite_file
from tvmerge.study.store.rdb import RdbTrialStore
from tvmerge.testing.store_contract import running_trial

HOLDER = """
import sys
from tvmerge.study.lock import study_lock
with study_lock(sys.argv[1], sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module", params=["sqlite", "postgresql", "mysql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a storage: a file, and a server of each kind that is installed."""
    if request.param == "sqlite":
        yield sqlite_url(tmp_path_factory.mktemp("study") / "a?b #50%{c}.db")
        return
    with {"postgresql": postgresql, "mysql": mysql}[request.param]() as served:
        yield served


def test_a_storage_holds_what_optuna_reads(url: str) -> None:
    rows = drive(lambda: open_at(url, window=2, name="whole"), 7)
    opened = open_storage(url)
    assert isinstance(opened, RDBStorage)
    study = optuna.load_study(study_name="whole", storage=opened)
    assert [(t.number, t.params, tuple(t.values or ()), t.state.name) for t in study.trials] == rows
    number = opened.get_study_id_from_name("whole")
    assert RdbTrialStore(opened, number).read() == opened.get_all_trials(number)
    assert drive(lambda: open_at(url, window=2, name="cut"), 7, (3, 4)) == rows
    assert len(read_study(url, "whole").trials) == 7


def test_a_study_is_held_by_one_process_and_freed_by_its_death(url: str) -> None:
    assert not is_study_locked(url, "s")
    holder = [sys.executable, "-c", HOLDER, url, "s"]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert is_study_locked(url, "s")
        with pytest.raises(StudyError, match="another tvmerge is using") as caught, study_lock(url, "s"):
            pass
        assert "se%40cret" not in str(caught.value)
        process.kill()
    await_free(url)
    with study_lock(url, "s"):
        assert is_study_locked(url, "s")
    assert not is_study_locked(url, "s")


def test_a_run_notices_that_the_server_freed_its_study(url: str) -> None:
    if sqlite_file(url) is not None:
        pytest.skip("the lock on a file lasts as long as the process")
    with study_lock(url, "s") as still_held:
        still_held()
        hang_up_on_all(url)
        with pytest.raises(StudyError, match=r"the lock on study 's' in .* was lost") as caught:
            still_held()
        assert "se%40cret" not in str(caught.value)
        assert "\n" not in str(caught.value)
        await_free(url)
        with study_lock(url, "s") as other:
            other()
            with pytest.raises(StudyError, match="was lost"):
                still_held()


def hang_up_on_all(url: str) -> None:
    """End all connections to the server but the one that asks for it, as a restart would."""
    engine = create_engine(read_url(url), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            ending = (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            connection.exec_driver_sql(ending)
            return
        others = "SELECT id FROM information_schema.processlist WHERE user = 'root' AND id <> CONNECTION_ID()"
        for number in connection.exec_driver_sql(others).scalars().all():
            connection.exec_driver_sql(f"KILL {number}")


IMPATIENT = {
    "sqlite": {"timeout": 0},
    "postgresql": {"options": "-c lock_timeout=1"},
    "mysql": {"init_command": "SET innodb_lock_wait_timeout = 1"},
}
"""How a connection is told not to wait for another writer."""


def test_no_two_writers_make_a_trial_of_the_same_number(url: str) -> None:
    study = open_at(url, name="twice")
    storage = open_storage(url)
    assert isinstance(storage, RDBStorage)
    study_id = storage.get_study_id_from_name("twice")
    kind = storage.engine.dialect.name
    other = RDBStorage(
        str(storage.url), engine_kwargs={"poolclass": NullPool, "connect_args": IMPATIENT[kind]}
    )
    refused = []

    @event.listens_for(storage.engine, "before_cursor_execute")
    def meanwhile(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO trials"):
            with pytest.raises(OperationalError) as caught:
                RdbTrialStore(other, study_id).add(running_trial(0))
            refused.append(caught.value)

    RdbTrialStore(storage, study_id).add(running_trial(0))
    assert len(refused) == 1
    assert [trial.number for trial in read_study(url, "twice").trials] == [0]
    with pytest.raises(StudyError, match="trial 0 already exists"):
        study.ask()


def test_a_file_is_held_by_whatever_name_it_is_reached(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "folder").symlink_to(tmp_path / "real")
    (tmp_path / "link.db").symlink_to(tmp_path / "real" / "study.db")
    names = [tmp_path / "real" / "study.db", tmp_path / "folder" / "study.db", tmp_path / "link.db"]
    for held in names:
        with study_lock(sqlite_url(held), "s"):
            for name in names:
                assert is_study_locked(sqlite_url(name), "s")
        assert not is_study_locked(sqlite_url(held), "s")


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_looking_for_a_study_leaves_other_databases_as_they_are(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "theirs.db")) as connection:
        connection.execute("CREATE TABLE birds (name TEXT)")
    (tmp_path / "empty.db").touch()
    before = files(tmp_path)
    for name in before:
        url = sqlite_url(tmp_path / name)
        assert not has_study(url, "s")
        with pytest.raises(StudyError, match=r"no study 's' in .* \(it holds no study\)"):
            read_study(url, "s")
    assert not has_study(sqlite_url(tmp_path / "none.db"), "s")
    assert files(tmp_path) == before


def test_looking_for_a_study_on_a_server_makes_no_tables(url: str) -> None:
    if sqlite_file(url) is not None:
        pytest.skip("see the test of files")
    address = read_url(url)
    engine = create_engine(address, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE bare")
    bare = address.set(database="bare").render_as_string(hide_password=False)
    assert not has_study(bare, "s")
    assert inspect(create_engine(bare, poolclass=NullPool)).get_table_names() == []


def test_a_study_that_nothing_is_known_of_yet_is_not_there(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "study.db")
    open_storage(url).create_new_study([StudyDirection.MAXIMIZE], "s")
    assert not has_study(url, "s")
    open_at(url)
    assert has_study(url, "s")


def test_a_password_in_the_place_of_a_name_is_not_shown(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "study.db")
    open_at(url)
    with pytest.raises(StudyError) as caught:
        read_study(url, "postgresql://u:geheim@h/db")
    assert "geheim" not in str(caught.value)


def await_free(url: str) -> None:
    """A server notices at once that a process died, but not before it looks."""
    deadline = time.monotonic() + 300
    while is_study_locked(url, "s"):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_studies_on_a_server_are_held_one_by_one(url: str) -> None:
    if sqlite_file(url) is not None:
        pytest.skip("a file is held whole")
    with study_lock(url, "one"), study_lock(url, "other"):
        assert is_study_locked(url, "one")
        assert not is_study_locked(url, "third")
