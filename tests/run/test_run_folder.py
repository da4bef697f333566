"""A study named by its run folder, and the folder that one which does not exist is meant for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tvmerge.errors import ConfigError, StudyError
from tvmerge.run.run_folder import named_folder, named_study


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the run folders runs/demo, runs/chat and mine, and other folders."""
    monkeypatch.chdir(tmp_path)
    for folder in ("runs/demo", "runs/chat", "mine"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / ".study").write_text(f"{Path(folder).name}\n", encoding="utf-8")
    (tmp_path / "runs" / "deno").mkdir()
    return tmp_path


def test_a_run_folder_names_its_study_and_storage() -> None:
    assert named_study(Path("runs/demo"), None, None) == ("sqlite:///runs/demo/study.db", "demo")
    assert named_study(Path("runs/demo"), "sqlite:///a.db", None) == ("sqlite:///a.db", "demo")
    assert named_study(Path("gone"), None, "s") == ("sqlite:///gone/study.db", "s")
    assert named_study(None, "sqlite:///a.db", "s") == ("sqlite:///a.db", "s")
    with pytest.raises(ConfigError, match="pass --run-dir, or --storage and --study-name"):
        named_study(None, None, "s")


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("runs/dmeo", "there is no run folder runs/dmeo (did you mean runs/demo?)"),
        ("demo", "there is no run folder demo (did you mean runs/demo?)"),
        ("rnus/demo", "there is no run folder rnus/demo (did you mean runs/demo?)"),
        ("runs/mine", "there is no run folder runs/mine (did you mean mine?)"),
        ("runs/nothing", "there is no run folder runs/nothing"),
        ("runs/deno", "runs/deno is not a run folder; pass --storage and --study-name"),
        ("runs", "runs is not a run folder (it holds the run folders chat, demo); pass --storage"),
    ],
)
def test_a_folder_that_is_no_run_folder_is_refused_with_the_one_that_was_meant(
    folder: str, message: str
) -> None:
    with pytest.raises(StudyError) as refused:
        named_study(Path(folder), None, None)
    assert str(refused.value).startswith(message)


def test_a_run_is_found_by_its_path_or_its_name_in_runs() -> None:
    assert named_folder("mine") == Path("mine")
    assert named_folder("demo") == Path("runs/demo")
    with pytest.raises(StudyError, match=r"folder dmo \(did you mean runs/demo\?\), and none"):
        named_folder("dmo")


def test_a_mark_that_cannot_be_read_is_named() -> None:
    Path("mine/.study").write_bytes(b"\xff\xfe")
    with pytest.raises(StudyError, match=r"\.study"):
        named_study(Path("mine"), None, None)
