"""A run whose server lets go of its study in the middle: it stops, and the same command continues.

Several modules: the command, the loop and the study's storage.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine

from tests.servers.databases import postgresql
from tvmerge.cli.app import run
from tvmerge.study.storage import read_study
from tvmerge.study.storage_url import read_url
from tvmerge.study.study import SearchStudy

N_TRIALS = 4


def test_a_run_that_lost_its_study_stops_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["demo", "--optuna-sampler=TPE", f"--n-trials={N_TRIALS}", "--max-new-tokens=4", "--holdout=0"]
    with postgresql() as url:
        command.append(f"--storage={url}")
        tell = SearchStudy.tell

        def tell_and_lose_the_study(study: SearchStudy, *trial: Any, **told: Any) -> None:
            tell(study, *trial, **told)
            monkeypatch.setattr(SearchStudy, "tell", tell)
            end_the_hold(url)

        monkeypatch.setattr(SearchStudy, "tell", tell_and_lose_the_study)
        assert run(command) == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert "the lock on study 'demo'" in line
        assert "run the same command again" in line
        assert [trial.told for trial in read_study(url, "demo").trials].count(True) == 1
        assert run(command) == 0
        assert [trial.told for trial in read_study(url, "demo").trials] == [True] * N_TRIALS


def end_the_hold(url: str) -> None:
    """End the connection that holds the study."""
    engine = create_engine(read_url(url), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        holder = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
        assert connection.exec_driver_sql(holder).scalars().all() == [True]
