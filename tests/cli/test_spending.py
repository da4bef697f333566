"""A run whose cost is high and not limited has to be agreed to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import pytest

from tvmerge.cli.app import run
from tvmerge.cli.spending import high_cost
from tvmerge.dry_run.calls import PlannedCalls, Spending

SERVER = 'provider = "openai"\nmodel = "m"\nbase_url = "http://judge.invalid/v1"\n'


@pytest.fixture(autouse=True)
def _judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    prices = "price_input = 30\nprice_output = 60\n"
    Path("dear.toml").write_text(SERVER + prices, encoding="utf-8")
    Path("cheap.toml").write_text(SERVER + "price_input = 0.001\nprice_output = 0.002\n", encoding="utf-8")
    Path("unpriced.toml").write_text(SERVER, encoding="utf-8")


def refused(capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    assert run(["demo", "--no-judge-check", *flags]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ")
    assert not Path("runs").exists()
    return line


def test_without_a_terminal_the_flags_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, "--judge=dear.toml")
    assert "no limit on the cost is set: set one with --max-cost, or start with --yes" in line


def test_a_judge_of_unknown_price_hides_no_cost_of_another(capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, "--judge=dear.toml,unpriced.toml")
    assert "(without those whose price is unknown), and no limit on the cost is set" in line


def test_at_a_terminal_it_is_asked_and_no_starts_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answer_no(text: str, **_: Any) -> bool:
        asked.append(text)
        return False

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(click, "confirm", answer_no)
    assert "not started" in refused(capsys, "--judge=dear.toml")
    assert "USD" in asked[0]


@pytest.mark.parametrize(
    "flags",
    [
        ["--judge=dear.toml", "--yes"],
        ["--judge=dear.toml", "--max-cost=500"],
        ["--judge=dear.toml", "--max-judge-calls=30"],
        ["--judge=unpriced.toml"],
        ["--judge=cheap.toml"],
        ["--judge=dear.toml", "--judge-base-url=http://127.0.0.1:9/v1"],
    ],
    ids=["agreed", "limited", "of few calls", "of unknown price", "cheap", "on this machine"],
)
def test_a_run_that_is_agreed_to_limited_or_cheap_starts(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    # Nothing answers at the judge's address, which is found out when the run starts.
    assert "nothing answers at http://" in refused(capsys, *flags)


def test_a_limit_on_calls_bounds_the_cost_by_that_of_the_dearest_call() -> None:
    check = PlannedCalls("a", "check", Spending(2, cost=0.5), Spending(2, cost=0.1), dearest=0.25)
    search = PlannedCalls("a", "search", Spending(100, cost=40.0), Spending(50, cost=30.0), dearest=0.5)
    rows = [check, search]
    assert high_cost(rows, None).startswith("the judges likely cost 30.10 USD, at most 40.50, and no limit")
    assert high_cost(rows, 90).startswith("the judges likely cost 30.10 USD, at most 40.50, and no limit")
    assert high_cost(rows, 50).startswith(
        "the judges likely cost 25.00 USD, at most 25.00 within --max-judge-calls 50, and no limit"
    )
    assert high_cost(rows, 40) == ""
    assert high_cost(rows, 90, made=50) == ""
    assert high_cost(rows, 90, made=95) == ""


def test_a_study_that_goes_on_is_asked_about_only_for_what_is_to_come() -> None:
    left = PlannedCalls("a", "search", Spending(60, cost=24.0), Spending(50, cost=20.5), dearest=0.5)
    assert high_cost([left], None, resumes=True).startswith("the judges likely cost another 20.50 USD")
    less = PlannedCalls("a", "search", Spending(40, cost=19.0), Spending(40, cost=19.0), dearest=0.5)
    assert high_cost([less], None, resumes=True) == ""
