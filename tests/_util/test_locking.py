"""Locks of folders, and what they leave behind."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tvmerge._util.locking import is_locked, locked
from tvmerge.errors import StudyError


def test_a_folder_that_another_process_holds_is_refused(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from tvmerge._util.locking import locked\n"
    code += "with locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert is_locked(tmp_path)
        with pytest.raises(StudyError, match="another tvmerge is using"), locked(tmp_path):
            pass
        other.communicate()
    assert (tmp_path / ".lock").exists()
    with locked(tmp_path):
        pass


def test_an_error_that_leaves_nothing_removes_the_folders_that_were_made(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "demo"
    with pytest.raises(ValueError, match="refused"), locked(folder), locked(folder, ".study.db.lock"):
        raise ValueError("refused")
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_before_and_what_a_run_wrote_stay(tmp_path: Path) -> None:
    mine, run = tmp_path / "mine", tmp_path / "run"
    mine.mkdir()
    with pytest.raises(ValueError, match="refused"), locked(mine):
        raise ValueError("refused")
    assert mine.is_dir()
    with pytest.raises(FileExistsError), locked(run):
        write_and_fail(run)
    assert sorted(path.name for path in run.iterdir()) == [".lock", "study.db"]


def write_and_fail(run: Path) -> None:
    (run / "study.db").touch()
    raise FileExistsError


def test_a_run_that_ends_well_keeps_its_folder(tmp_path: Path) -> None:
    with locked(tmp_path / "run"):
        pass
    assert (tmp_path / "run").is_dir()


def test_the_error_that_ends_a_run_is_told_even_if_its_folder_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "run"

    def lose() -> None:
        with locked(folder):
            shutil.rmtree(folder)
            raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        lose()
