"""Paths lead to one place, whatever links are on the way."""

from __future__ import annotations

from pathlib import Path

import pytest

import tvmerge
from tvmerge._util.real_path import real_path


def test_links_are_followed_and_those_that_lead_to_themselves_stay(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "loop").symlink_to("loop")
    assert real_path(tmp_path / "link" / "new") == tmp_path / "folder" / "new"
    assert real_path(tmp_path / "folder" / ".." / "x") == tmp_path / "x"
    for path in (tmp_path / "loop", tmp_path / "loop" / "x"):
        assert real_path(path) == path


def test_a_relative_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert real_path(Path("a")) == tmp_path / "a"


def test_no_module_uses_what_fails_for_such_links() -> None:
    source = Path(tvmerge.__file__).parent
    # The one that is left resolves the path of a module of tvmerge.
    assert [p.name for p in source.rglob("*.py") if ".resolve()" in p.read_text(encoding="utf-8")] == [
        "assets.py"
    ]
