"""The help of commands, and what `tvmerge doctor` exits with.

Several modules: the options, their groups and the commands that have them.
"""

from __future__ import annotations

import pytest

from tvmerge.cli.app import run
from tvmerge.config import groups, options


def test_every_setting_is_in_one_group() -> None:
    keys = [key for group in groups().values() for key in group]
    assert sorted(keys) == sorted(options())


@pytest.mark.parametrize("command", ["optimize", "demo"])
def test_the_help_of_a_run_shows_its_settings_in_groups(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    titles = [line.removesuffix(":") for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert titles == ["Options", *groups()]
    assert lines.index("Search:") < next(i for i, line in enumerate(lines) if "--n-trials" in line)


def test_a_group_without_settings_of_the_command_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Models and merging:" in shown
    assert "Benchmarks and judges:" not in shown


def test_the_doctor_exits_with_2_if_there_is_a_problem(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["doctor"]) == 0
    assert capsys.readouterr().out.startswith("tvmerge: ")
    monkeypatch.setenv("TVMERGE_CACHE_DIR", "/dev/null")
    assert run(["doctor"]) == 2
    assert "PROBLEM" in capsys.readouterr().out
