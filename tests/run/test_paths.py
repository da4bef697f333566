"""Where a run writes to, checked before anything is paid for, and its folders while it holds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tvmerge._util.urls import sqlite_url
from tvmerge.config import load_config
from tvmerge.errors import ConfigError
from tvmerge.run.paths import RunPaths
from tvmerge.study.location import StudyLocation

NEEDED = {"target_model": ("t",), "base_model": "b", "tuned_model": "v", "bench_name": ("demo",)}


def check(tmp_path: Path, **settings: Any) -> None:
    settings = {"run_dir": str(tmp_path / "run"), **settings}
    RunPaths.of(load_config({**NEEDED, **settings})).check_writable()


def test_what_can_be_written_passes_and_nothing_is_made(tmp_path: Path) -> None:
    more = {"output_dir": str(tmp_path / "out"), "trace": str(tmp_path / "trace.json")}
    check(tmp_path, **more, log_file=str(tmp_path / "log"), save_experts=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["run_dir", "output_dir", "trace", "log_file"])
def test_each_output_has_a_place_where_it_can_be_written(key: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    for place in (tmp_path / "file" / "deep" / "out", Path("/proc/none/out"), tmp_path / "a" / ("n" * 256)):
        with pytest.raises(ConfigError, match=f"--{key.replace('_', '-')}|the run"):
            check(tmp_path, **{key: str(place)})


@pytest.mark.parametrize("key", ["trace", "log_file"])
@pytest.mark.parametrize(
    "name", ["ledger.jsonl", "result.json", "report.html", "study.db", ".study", "model/x"]
)
def test_a_file_that_a_run_writes_itself_is_none_for_its_trace_or_log(
    key: str, name: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=f"--{key.replace('_', '-')} .*name another"):
        check(tmp_path, **{key: str(tmp_path / "run" / name)})


@pytest.mark.parametrize("key", ["run_dir", "output_dir", "trace", "log_file"])
def test_a_link_that_leads_to_itself_is_no_place(key: str, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ConfigError, match=rf"(--{key.replace('_', '-')}|the run folder) .*symbolic links"):
        check(tmp_path, **{key: str(tmp_path / "loop")})


def test_trace_and_log_are_two_files(tmp_path: Path) -> None:
    both = str(tmp_path / "both")
    with pytest.raises(ConfigError, match="name another file"):
        check(tmp_path, trace=both, log_file=both)


def test_a_file_of_the_user_is_no_trace(tmp_path: Path) -> None:
    mine = tmp_path / "mine.json"
    mine.write_text("[1, 2]", encoding="utf-8")
    with pytest.raises(ConfigError, match="is not a trace"):
        check(tmp_path, trace=str(mine))


def test_an_output_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out-experts").write_text("x", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"--save-experts, .* is a file and not a folder"):
        check(tmp_path, output_dir=str(tmp_path / "out"), save_experts=True)


@pytest.mark.parametrize("name", ["out", "out-experts"])
def test_neither_the_model_nor_its_experts_replace_another_run(name: str, tmp_path: Path) -> None:
    settings = {"run_dir": str(tmp_path / "run"), "output_dir": str(tmp_path / "out"), "overwrite": True}
    paths = RunPaths.of(load_config({**NEEDED, **settings, "save_experts": True}))
    paths.protect([])
    (tmp_path / name / "deep").mkdir(parents=True)
    (tmp_path / name / "deep" / ".study").touch()
    with pytest.raises(ConfigError, match=f"{name} holds the results of another run"):
        paths.protect([])


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


@pytest.mark.parametrize(
    "name",
    ["questions.jsonl", "result.json", "trials.jsonl", "report.html", "model_judgment/gpt-4_single.jsonl"],
)
def test_a_folder_that_is_not_of_a_run_keeps_what_it_has(name: str, tmp_path: Path) -> None:
    file = tmp_path / "run" / name
    file.parent.mkdir(parents=True)
    file.write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match=f"is not a run folder and has {name}, .*another --run-dir"):
        check(tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [file]
    (tmp_path / "run" / ".study").write_text("s\n", encoding="utf-8")
    check(tmp_path)


def test_what_a_run_leaves_that_failed_its_checks_is_its_own(tmp_path: Path) -> None:
    (tmp_path / "run" / "model_answer").mkdir(parents=True)
    for name in ("ledger.jsonl", "ledger.journal", ".lock", "study.db"):
        (tmp_path / "run" / name).touch()
    before = sorted(tmp_path.rglob("*"))
    check(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before
