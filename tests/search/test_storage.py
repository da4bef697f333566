"""Storages: files with any name, database servers, one orchestrator each, secrets kept."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import optuna
import pytest
from optuna.storages import RDBStorage

from tests.search.studies import drive, open_at
from tests.servers.databases import mysql, postgresql
from tvmerge.errors import StudyError
from tvmerge.search.address import sqlite_file
from tvmerge.search.lease import is_leased, leased
from tvmerge.search.storage import open_storage, read_study
from tvmerge.search.tables import BulkJournal
from tvmerge.urls import sqlite_url

HOLDER = """
import sys
from tvmerge.search.lease import leased
with leased(sys.argv[1], sys.argv[2]):
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
    assert BulkJournal(opened, study._study_id).read() == opened.get_all_trials(study._study_id)
    assert drive(lambda: open_at(url, window=2, name="cut"), 7, (3, 4)) == rows
    assert len(read_study(url, "whole").rows) == 7


def test_a_study_is_held_by_one_process_and_freed_by_its_death(url: str) -> None:
    assert not is_leased(url, "s")
    holder = [sys.executable, "-c", HOLDER, url, "s"]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert is_leased(url, "s")
        with pytest.raises(StudyError, match="another tvmerge works") as caught, leased(url, "s"):
            pass
        assert "se%40cret" not in str(caught.value)
        process.kill()
    await_free(url)
    with leased(url, "s"):
        assert is_leased(url, "s")
    assert not is_leased(url, "s")


def await_free(url: str) -> None:
    """A server notices at once that a process died, but not before it looks."""
    deadline = time.monotonic() + 60
    while is_leased(url, "s"):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_studies_on_a_server_are_held_one_by_one(url: str) -> None:
    if sqlite_file(url) is not None:
        pytest.skip("a file is held whole")
    with leased(url, "one"), leased(url, "other"):
        assert is_leased(url, "one")
        assert not is_leased(url, "third")
