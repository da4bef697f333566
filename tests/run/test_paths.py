"""The folders of a run, while it holds them."""

from __future__ import annotations

from pathlib import Path

from tvmerge._util.urls import sqlite_url
from tvmerge.run.paths import RunPaths
from tvmerge.study.location import StudyLocation


def test_what_killed_runs_left_in_the_run_folder_is_gone_once_it_is_held(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    for place in ("", "model_answer", "holdout/model_judgment"):
        (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / place / ".1.jsonl.tvmerge-abcd0_9z.tmp").touch()
        (folder / place / ".mine.tmp").touch()
    url = sqlite_url(folder / "study.db")
    location = StudyLocation("s", url, "s", url)
    with RunPaths(folder, folder / "model", location, trace=None).held():
        left = [path.name for path in folder.rglob("*.tmp")]
    assert left == [".mine.tmp"] * 3
