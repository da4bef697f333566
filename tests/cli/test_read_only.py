"""`tvmerge status` and `tvmerge report` of runs in folders that one can only read.

Several modules: both commands, locks and storages.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.study.studies import drive, open_at
from tvmerge._util.urls import sqlite_url
from tvmerge.api.load_result import load_result
from tvmerge.cli.app import run
from tvmerge.study.lock import study_lock

NOBODY = 65534


@pytest.fixture
def folder(capsys: pytest.CaptureFixture[str]) -> Iterator[Path]:
    """The folder of a run of somebody else: 4 trials told, 1 in flight."""
    place = Path(tempfile.mkdtemp())
    url = sqlite_url(place / "study.db")
    drive(lambda: open_at(url, window=1), 4)
    (place / ".study").write_text("s\n", encoding="utf-8")
    with study_lock(url, "s"):
        pass
    # All that is imported, which not every user can read.
    load_result(place)
    assert run(["status", str(place)]) == 0
    capsys.readouterr()
    yield place
    place.chmod(0o755)
    shutil.rmtree(place)


@contextmanager
def only_reading(folder: Path, mode: int = 0o444) -> Iterator[None]:
    """Take the right to write into a folder and its files, also from root."""
    for path in folder.iterdir():
        path.chmod(mode)
    folder.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_run_of_others_shows_its_status_and_stays_as_it_is(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    with only_reading(folder):
        assert run(["status", str(folder)]) == 0
    assert "4 trials finished, 1 stopped early; no run is working on it" in capsys.readouterr().out
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_run_of_others_that_goes_on_shows_its_status(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = sqlite_url(folder / "study.db")
    study = open_at(url, window=1)
    study.ask()
    assert (folder / "study.db-wal").exists()
    with study_lock(url, "s"), only_reading(folder):
        assert run(["status", str(folder)]) == 0
    study.close()
    assert "4 trials finished, 1 running, 1 stopped early; a run is working on it" in capsys.readouterr().out


def test_a_run_of_others_can_be_reported(folder: Path) -> None:
    with only_reading(folder):
        found = load_result(folder)
    assert found.progress is not None
    assert len(found.trials) == 4


def test_a_run_whose_files_cannot_be_read_is_refused_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with only_reading(folder, mode=0):
        assert run(["status", str(folder)]) == 2
    said = capsys.readouterr().err
    assert ".study: cannot be read: Permission denied" in said
    assert said.count("\n") == 1
