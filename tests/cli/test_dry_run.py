"""`--dry-run` on the command line.

Several modules: the command, the dry run and what it counts.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.study.studies import drive, open_at
from tvmerge._util.urls import sqlite_url
from tvmerge.cli.app import run
from tvmerge.config.demo import demo_defaults


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def test_the_demo_is_planned_on_the_screen_and_nothing_is_left_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["demo", "--dry-run"]) == 0
    screen = capsys.readouterr().out
    for part in (
        "study: demo",
        "at most 960 answers of 240 candidates left",
        "dimensions: 8",
        "judge rules: asks nobody",
        "note: the winner is compared on 60 questions of the 120 held out; the others choose the winner",
        "to see a gain of 0.5 in 80% of runs, about 128 are needed",
    ):
        assert part in screen
    assert "judge calls" not in screen
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_a_plan_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--dry-run", "--run-dir=a\x1b]0;t\x07\x1b[2J\u202e:smile:b"]) == 0
    assert "results: a:smile:b\n" in capsys.readouterr().out


def test_calls_are_shown_in_a_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert run(["demo", "--dry-run", "--judge=gpt-6-luna"]) == 0
    screen = capsys.readouterr().out
    assert "at most" in screen
    assert "cost: likely" in screen
    assert "gpt-6-luna   search" in screen
    assert "not counted" in screen


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("--judge=gpt-6-luna", "OPENAI_API_KEY"),
        ("--bench-name=no-such-bench", "known: "),
        ("--target-model=no/such/folder", "no/such/folder"),
        ("--storage=sqlite:///:memory:", "would lose the study"),
        ("--output-dir=.", "choose a separate folder"),
        ("--device=cuda:7", "no device 'cuda:7'"),
        ("--optuna-sampler=NSGA", "NSGA"),
        ("--fork=new", "there is no study database at runs/demo/study.db; --fork continues"),
        ("--warm-start=old", "there is no study database at runs/demo/study.db; write --warm-start"),
        ("--warm-start=postgresql://u:geheim@h/db", "postgresql://u:***@h/db names a storage but no study"),
    ],
)
def test_what_a_run_would_refuse_a_plan_refuses_in_one_line(
    flag: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert expected in refused(capsys, flag)
    assert list(tmp_path.iterdir()) == []


def refused(capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    """The one line in which a plan is refused."""
    assert run(["demo", "--dry-run", *flags]) == 2
    # A slow machine also says what takes so long.
    (line,) = [line for line in capsys.readouterr().err.splitlines() if " so far)" not in line]
    assert line.startswith("error: ")
    return line


def test_a_plan_is_refused_what_the_study_that_is_there_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = sqlite_url(tmp_path / "runs" / "demo" / "study.db")
    drive(lambda: open_at(url, name="demo"), 6)
    capsys.readouterr()  # optuna's own lines
    assert "study 'demo' has 6 trials; --n-trials 5 is lower" in refused(
        capsys, "--n-trials=5", "--optuna-sampler=TPE"
    )
    assert "only a study with the same weights can be continued" in refused(capsys, "--fork=other")


def test_a_plan_of_a_sampler_that_cannot_search_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one_weight = ("--optuna-sampler=CMA-ES", "--optimize-mode=uniform")
    assert "CMA-ES needs at least 2 weights" in refused(capsys, *one_weight)
    config = tmp_path / "run.toml"
    config.write_text('optuna_sampler = "CMA-ES"\n[sampler]\nstart = 9.0\n', encoding="utf-8")
    assert "[sampler] start must be within the range" in refused(capsys, f"--config={config}")


def test_a_plan_tells_in_what_the_models_differ(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = shutil.copytree(demo_defaults()["tuned_model"], tmp_path / "changed")
    path = changed / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"rms_norm_eps": 0.5}))
    assert run(["demo", "--dry-run", f"--tuned-model={changed}"]) == 0
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "norm epsilon differs" in line)
    assert "0.5 in changed; the merged model is like " in line
    path.write_text(json.dumps(json.loads(path.read_text()) | {"hidden_act": "relu"}))
    assert "hidden_act is silu in " in refused(capsys, f"--tuned-model={changed}")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), "4 questions at a time: judging costs nothing, so there will be more if that saves time"),
        (("--judge=gpt-6-luna",), "4 questions at a time: assumed, as judging is likely to cost more than"),
        (("--config=run.toml",), "a candidate answers 12 questions at a time\n"),
    ],
)
def test_a_plan_tells_how_many_questions_a_candidate_is_assumed_to_answer(
    flags: tuple[str, ...],
    expected: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    (tmp_path / "run.toml").write_text("[sampler]\nblock = 12\n", encoding="utf-8")
    assert run(["demo", "--dry-run", "--optuna-sampler=auto", *flags]) == 0
    assert expected in capsys.readouterr().out
