"""`tvmerge status` while a run works, afterwards, and where there is nothing."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import pytest

from tests.study.blocks.searches import drive as drive_blocks
from tests.study.blocks.searches import open_blocks
from tests.study.studies import drive, open_at
from tvmerge._util.urls import sqlite_url
from tvmerge.cli.app import run
from tvmerge.study.blocks.study import Told
from tvmerge.study.lock import study_lock


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run folder in the middle of a run: 6 trials told, 2 in flight, a ledger that is being written."""
    url = sqlite_url(tmp_path / "study.db")
    drive(lambda: open_at(url, window=2), 6)
    study = open_at(url, window=2)
    study.ask()
    study.ask()
    study.close()
    gc.collect()  # connections of the runs before, whose end changes the file
    (tmp_path / ".study").write_text("s\n", encoding="utf-8")
    call = {"at": 1.0, "input": 100, "output": 20, "seconds": 1.5}
    rows: list[dict[str, object]] = [
        {"judge": "gpt-4", "cost": 0.25},
        {"judge": "gpt-4", "cost": 0},
        {"judge": "rules", "cost": 0.25},
        {"judge": "rules", "cost": None},
    ]
    text = "".join(json.dumps({**row, **call}) + "\n" for row in rows) + '{"judge": "gpt'
    (tmp_path / "ledger.jsonl").write_text(text, encoding="utf-8")
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".db", ".jsonl")}


def test_status_shows_a_study_that_a_run_works_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(folder)
    with study_lock(sqlite_url(folder / "study.db"), "s"):
        assert run(["status", "--run-dir", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "6 trials finished, 2 running, 2 stopped early; a run is working on it" in shown
    assert "best of the search: trial" in shown
    assert "winner: none yet, since there was no held-out comparison" in shown
    assert "judge gpt-4: 2 calls, 0.2500 USD" in shown
    assert "judge rules: 2 calls, price not known" in shown
    assert contents(folder) == before


def test_a_run_folder_is_named_as_for_the_report(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    (folder.parent / "runs").symlink_to(".")
    shown = []
    for argv in (["--run-dir", str(folder)], [str(folder)], [folder.name]):
        assert run(["status", *argv]) == 0
        shown.append(capsys.readouterr().out.split("\n", 1)[1])
    assert shown[0] == shown[1] == shown[2] != ""


def test_nothing_in_the_json_object_commands_the_terminal(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = {"judge": "j\u202e\x9b2J", "cost": 0, "at": 1.0, "input": 100, "output": 20, "seconds": 1.5}
    (folder / "ledger.jsonl").write_text(json.dumps(call) + "\n", encoding="utf-8")
    assert run(["status", str(folder), "--json"]) == 0
    printed = capsys.readouterr().out
    assert list(json.loads(printed)["judges"]) == [call["judge"]]
    assert not any(character in printed for character in "\u202e\x9b")


def test_status_is_also_one_json_object(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = sqlite_url(folder / "study.db")
    assert run(["status", "--storage", url, "--study-name", "s", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {key: found[key] for key in ("told", "running", "pruned", "failed", "held", "judges")} == {
        "told": 6,
        "running": 2,
        "pruned": 2,
        "failed": 0,
        "held": False,
        "judges": {},
    }
    assert found["last_told"].startswith("2")
    best = max((t for t in open_at(url, window=2).trials if t.scored), key=lambda t: (t.values[0], -t.number))
    assert found["best"] == [{"number": best.number, "scores": list(best.values)}]


def test_status_of_several_objectives_is_a_front(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = sqlite_url(tmp_path / "study.db")
    drive(lambda: open_at(url, "TPE of two"), 6)
    assert run(["status", "--storage", url, "--study-name", "s"]) == 0
    front = [line for line in capsys.readouterr().out.splitlines() if "front:" in line]
    assert len(front) == len(open_at(url, "TPE of two").front()) > 1


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "pass a run folder, or --storage and --study-name"),
        (["--storage", "sqlite:///no.db"], "pass a run folder, or --storage and --study-name"),
        (["--run-dir", "nowhere"], "there is no run folder nowhere"),
        (["nowhere"], "there is no run folder nowhere, and none of that name in runs/ (it holds no run)"),
        (["here", "--run-dir", "there"], "the run folder is given twice: as here and as --run-dir there"),
        (
            ["--storage", "sqlite:///no.db", "--study-name", "s"],
            "there is no study database at no.db; pass --storage URL and --study-name NAME",
        ),
        (["--storage", "oracle://h/d", "--study-name", "s"], "a study cannot be kept in oracle"),
        (["--storage", "no url", "--study-name", "s"], "'no url' is not a database URL"),
    ],
)
def test_what_status_cannot_find_is_one_line(
    argv: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["status", *argv]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert message in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_status_says_how_many_answers_were_cut_in_thought(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = sqlite_url(tmp_path / "study.db")
    study = open_at(url, window=2)
    study.ask()
    study.tell(0, (4.0,), {"cut_off": 0.5, "cut_in_thought": 0.25})
    flags = ["status", "--storage", url, "--study-name", "s"]
    assert run(flags) == 0
    assert (
        "best of the search: trial 0 with 4.000; 25% of its answers cut in thought" in capsys.readouterr().out
    )
    assert run([*flags, "--json"]) == 0
    best = json.loads(capsys.readouterr().out)["best"]
    assert best == [{"number": 0, "scores": [4.0], "cut_off": 0.5, "cut_in_thought": 0.25}]


def test_status_of_a_search_by_blocks_is_counted_in_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = drive_blocks(lambda: open_blocks(tmp_path, 2), 60)
    study.record("tvmerge:n_answers", 88)
    told, last = study.told, study.ask()
    more = last.stop - last.start
    flags = ["status", "--storage", sqlite_url(tmp_path / "study.db"), "--study-name", "s"]
    assert run(flags) == 0
    candidates = len(study.trials)
    shown = capsys.readouterr().out
    assert (
        f"  {told} of 88 answers, {more} unfinished; {candidates} candidates; no run is working on it"
        in shown
    )
    assert "best of the search: not known, since the run was killed before it could say" in shown
    with study_lock(sqlite_url(tmp_path / "study.db"), "s"):
        assert run(flags) == 0
    shown = capsys.readouterr().out
    assert f"{told} of 88 answers, {more} in flight; " in shown
    assert "best of the search: known once the search has ended" in shown
    study.tell(study.running()[0], Told((5.0,) * more, {}))
    study.settle(2)
    assert run([*flags, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["answers"] == {"told": told + more, "asked": told + more, "total": 88}
    assert found["under_way"] is False
    best = study.best()
    assert best is not None
    known = {"number": best.number, "scores": [best.value], **{k: best.attrs[k] for k in ("mean", "se")}}
    assert found["best"] == [known]
    assert run(flags) == 0
    shown = capsys.readouterr().out
    assert f"best of the search: trial {best.number} with an estimated {best.attrs['mean']:.2f} ± " in shown
    assert "not known" not in shown
    assert "stopped early" not in shown
