"""Only our own folders are replaced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.merging.export.written import ours
from tvmerge.errors import CheckpointError, ConfigError
from tvmerge.merging.export.folders import (
    MARKER,
    REPLACED,
    WRITING,
    check_precious,
    check_replaceable,
    read_marker,
)


def test_nothing_an_empty_folder_and_our_own_may_be_written_to(tmp_path: Path) -> None:
    check_replaceable(tmp_path / "nothing", "study-1", overwrite=False)
    (tmp_path / "empty").mkdir()
    check_replaceable(tmp_path / "empty", None, overwrite=False)
    check_replaceable(ours(tmp_path / "ours"), "study-1", overwrite=False)


@pytest.mark.parametrize(
    ("owner", "said"), [("study-2", "was written by another run"), (None, "holds a merged model already")]
)
def test_another_runs_model_stays(tmp_path: Path, owner: str | None, said: str) -> None:
    folder = ours(tmp_path / "out")
    with pytest.raises(CheckpointError, match=f"{said}; choose another output folder"):
        check_replaceable(folder, owner, overwrite=False)
    check_replaceable(folder, owner, overwrite=True)


def test_a_model_without_an_owner_belongs_to_nobody(tmp_path: Path) -> None:
    folder = ours(tmp_path / "out")
    (folder / MARKER).write_text(json.dumps({"owner": None, "files": ["weights"]}))
    with pytest.raises(CheckpointError, match="holds a merged model already"):
        check_replaceable(folder, None, overwrite=False)


@pytest.mark.parametrize("marker", [None, "{", "[]"])
def test_a_folder_that_is_not_ours_stays(tmp_path: Path, marker: str | None) -> None:
    folder = ours(tmp_path / "out")
    (folder / MARKER).unlink() if marker is None else (folder / MARKER).write_text(marker)
    assert read_marker(folder) == {}
    with pytest.raises(CheckpointError, match="is not empty"):
        check_replaceable(folder, "study-1", overwrite=False)


def test_files_the_user_added_stay(tmp_path: Path) -> None:
    folder = ours(tmp_path / "out")
    (folder / "model.gguf").touch()
    with pytest.raises(CheckpointError, match=r"holds files tvmerge did not write \(model\.gguf\)"):
        check_replaceable(folder, "study-1", overwrite=False)


@pytest.mark.parametrize("place", ["models", "models/target"])
def test_a_source_model_stays_even_if_overwriting_is_asked_for(tmp_path: Path, place: str) -> None:
    source = tmp_path / "models" / "target"
    source.mkdir(parents=True)
    with pytest.raises(CheckpointError, match="a model that is merged from"):
        check_replaceable(tmp_path / place, "study-1", overwrite=True, sources=[source])
    check_replaceable(source / "merged", "study-1", overwrite=True, sources=[source])


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_file_or_a_link_stays(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "out"
    if kind == "file":
        place.touch()
    else:
        place.symlink_to(ours(tmp_path / "elsewhere"))
    with pytest.raises(CheckpointError, match="is not a folder"):
        check_replaceable(place, "study-1", overwrite=True)


def test_marks_of_a_replacement_that_was_cut_short_are_no_foreign_files(tmp_path: Path) -> None:
    folder = ours(tmp_path / "out")
    for mark in (WRITING, REPLACED):
        (folder / mark).touch()
    check_replaceable(folder, "study-1", overwrite=False)


def test_what_else_is_needed_is_not_replaced_with_a_folder_around_it(tmp_path: Path) -> None:
    precious = [("the study", tmp_path / "out" / "deep" / "study.db"), ("the cache", tmp_path / "cache")]
    with pytest.raises(ConfigError, match="out holds the study; choose a separate folder"):
        check_precious(tmp_path / "out", precious)
    (tmp_path / "link").symlink_to(tmp_path / "out")
    with pytest.raises(ConfigError, match="holds the study"):
        check_precious(tmp_path / "link", precious)
    check_precious(tmp_path / "out" / "deep" / "model", precious)
