"""`--dry-run` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tvmerge.cli.app import run


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def test_the_demo_is_planned_on_the_screen_and_nothing_is_left_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["demo", "--dry-run"]) == 0
    screen = capsys.readouterr().out
    for part in ("study: demo", "100 trials left", "dimensions: 8", "judge rules: asks nobody"):
        assert part in screen
    assert "judge calls" not in screen
    assert list(tmp_path.iterdir()) == []


def test_calls_are_shown_in_a_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert run(["demo", "--dry-run", "--judge=gpt-6-luna"]) == 0
    screen = capsys.readouterr().out
    assert "judge calls, at most" in screen
    assert "gpt-6-luna   search" in screen
    assert "not counted" in screen


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("--judge=gpt-6-luna", "OPENAI_API_KEY"),
        ("--bench-name=no-such-bench", "known: "),
        ("--target-model=no/such/folder", "no/such/folder"),
        ("--storage=sqlite:///:memory:", "would lose the study"),
        ("--output-dir=.", "choose a folder of its own"),
        ("--device=cuda:7", "there is no device 'cuda:7'"),
        ("--optuna-sampler=NSGA", "NSGA"),
    ],
)
def test_what_a_run_would_refuse_a_plan_refuses_in_one_line(
    flag: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["demo", "--dry-run", flag]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert expected in line
    assert list(tmp_path.iterdir()) == []
