"""A run whose server lets go of its study in the middle: it stops, and the same command goes on."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine

from tests.servers.databases import postgresql
from tvmerge.cli.app import run
from tvmerge.study.storage import has_study, read_study
from tvmerge.study.storage_url import read_url

N_TRIALS = 9


def test_a_run_that_lost_its_study_stops_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["demo", f"--n-trials={N_TRIALS}", "--max-new-tokens=4", "--holdout=0"]
    with postgresql() as url, ThreadPoolExecutor() as pool:
        command.append(f"--storage={url}")
        ending = pool.submit(end_the_hold, url)
        assert run(command) == 2
        ending.result()
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert "the hold on study 'demo'" in line
        assert "give the same command again" in line
        assert len(read_study(url, "demo").rows) < N_TRIALS
        assert run(command) == 0
        assert [row.state.is_finished() for row in read_study(url, "demo").rows] == [True] * N_TRIALS


def end_the_hold(url: str) -> None:
    """End the connection that holds the study, once the run has written a trial."""
    deadline = time.monotonic() + 120
    while not (has_study(url, "demo") and read_study(url, "demo").rows):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    engine = create_engine(read_url(url), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        holder = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
        assert connection.exec_driver_sql(holder).scalars().all() == [True]
