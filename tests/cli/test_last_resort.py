"""An error that nobody expected is told in a line."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tvmerge.__main__ import exit_code
from tvmerge.cli import app


@pytest.fixture
def _failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(argv: Sequence[str]) -> int:
        raise RuntimeError(f"broken\n\x1b[31m {argv[0]}")

    monkeypatch.setattr(app, "run", fail)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(sys, "argv", ["tvmerge", "postgresql://u:geheim@h/db"])


@pytest.mark.usefixtures("_failing")
def test_a_bug_is_one_line_and_its_traceback_is_saved(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert exit_code() == 70
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(
        "error: this is a bug in tvmerge (RuntimeError: broken ?[31m postgresql://u:***@h/db)"
    )
    found = re.search(r"its traceback is in (\S+tvmerge-error-\S+\.txt):", line)
    assert found is not None
    (saved,) = tmp_path.iterdir()
    assert str(saved) == found[1]
    text = saved.read_text(encoding="utf-8")
    assert 'raise RuntimeError(f"broken' in text
    assert "geheim" not in text


@pytest.mark.usefixtures("_failing")
def test_a_traceback_that_cannot_be_saved_is_said(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**names: str) -> tuple[int, str]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.mkstemp", full)
    assert exit_code() == 70
    assert "no file could be written" in capfd.readouterr().err
