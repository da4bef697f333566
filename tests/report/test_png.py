"""Figures as PNG files, drawn by a real browser, and without one."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from tests.report.browser.conftest import CHROMIUM
from tests.report.results import simple
from tvmerge.errors import ConfigError, OutputError
from tvmerge.report.png import find_browser, write_png, write_pngs
from tvmerge.report.run_result import RunResult

FIGURES = RunResult.of(simple(), Path()).figures

needs_browser = pytest.mark.skipif(
    CHROMIUM is None and os.environ.get("TVMERGE_REQUIRE_BROWSER") != "1",
    reason="needs Chromium (Debian: apt-get install chromium)",
)


def size(file: Path) -> tuple[int, int]:
    """The width and the height of a PNG file in pixels."""
    content = file.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", content[16:24])
    return width, height


@needs_browser
def test_a_figure_is_a_picture_of_twice_its_size(tmp_path: Path) -> None:
    (file,) = write_pngs(tmp_path / "deep", {"scores": FIGURES["scores"]})
    assert file == tmp_path / "deep" / "scores.png"
    width, height = size(file)
    assert width == 2 * (760 + 1 + 32)
    assert height > 500
    assert FIGURES["scores"].save(tmp_path / "again.png") == tmp_path / "again.png"
    assert size(tmp_path / "again.png") == (width, height)


def test_without_a_browser_the_user_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match="none was found; install one"):
        find_browser()


def test_a_browser_that_fails_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "chromium"
    broken.write_text("#!/bin/sh\necho first >&2\necho no display >&2\nexit 3\n", encoding="utf-8")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(OutputError, match=r"scores\.png: .*chromium failed: no display"):
        write_png(tmp_path / "scores.png", FIGURES["scores"])
    assert not (tmp_path / "scores.png").exists()
