"""`tvmerge report`, of a run that has not ended and of none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.report.html_tree import parse
from tests.report.results import simple
from tests.study.studies import drive, open_at
from tvmerge._util.urls import sqlite_url
from tvmerge.cli.app import run
from tvmerge.report.result_file import as_json


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the study `s` with 6 trials, in runs/ of the working folder."""
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "runs" / "s"
    drive(lambda: open_at(sqlite_url(place / "study.db")), 6)
    (place / ".study").write_text("s\n", encoding="utf-8")
    return place


@pytest.mark.parametrize("name", ["s", "runs/s"])
def test_the_page_of_a_run_is_made_from_its_folder_or_its_name(
    folder: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["report", name]) == 0
    assert capsys.readouterr().out == f"report: {Path('runs/s/report.html')}\n"
    verdict = parse((folder / "report.html").read_text(encoding="utf-8")).one(id="verdict").text
    assert verdict.startswith("This run has not ended: 6 ")


def test_the_page_of_a_study_in_a_storage_goes_where_the_user_says(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "page.html"
    argv = ["report", "--storage", sqlite_url(folder / "study.db"), "--study-name", "s"]
    assert run([*argv, "--out", str(out)]) == 0
    assert out.is_file()
    assert not (folder / "report.html").exists()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["t"], "there is no run folder t, and none of that name in runs/ (it holds: s)"),
        ([], "pass a run folder, or --storage and --study-name"),
        (["--storage", "sqlite:///runs/s/study.db", "--study-name", "s"], "pass --out FILE"),
        (["s", "--lang", "fr"], "there is no report in the language 'fr'; choose en or ja"),
        (["s", "--out", "runs/s/study.db"], "study.db exists and is not an HTML page; pass another --out"),
        (["runs"], "runs is not a run folder (it holds the run folders s); pass --storage and --study-name"),
    ],
)
def test_what_cannot_be_reported_is_one_line(
    folder: Path, argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["report", *argv]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("error:") == 1
    assert (folder / "study.db").read_bytes().startswith(b"SQLite")


def test_without_a_browser_nothing_is_written_for_png(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert run(["report", "s", "--png", "figures"]) == 2
    assert "drawn by Chromium or Chrome, and none was found" in capsys.readouterr().err
    assert not (folder / "report.html").exists()


def test_the_page_can_be_in_japanese(folder: Path) -> None:
    assert run(["report", "s", "--lang", "ja"]) == 0
    verdict = parse((folder / "report.html").read_text(encoding="utf-8")).one(id="verdict").text
    assert verdict.startswith("この実行は終わっていません")


def test_the_page_of_an_earlier_release_is_not_replaced_by_one_without_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "result.json").write_text(json.dumps(as_json(simple())), encoding="utf-8")
    (tmp_path / "report.html").write_text("with answers", encoding="utf-8")
    assert run(["report", str(tmp_path)]) == 2
    assert "a new page would lack the answers" in capsys.readouterr().err
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == "with answers"
    assert run(["report", str(tmp_path), "--out", str(tmp_path / "new.html")]) == 0
