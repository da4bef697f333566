"""Folders appear whole or not at all, and only our own are replaced."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tvmerge.errors import CheckpointError
from tvmerge.merging.export.folders import MARKER, check_replaceable, new_folder, read_marker


def _ours(folder: Path, owner: str = "study-1", *more: str) -> Path:
    folder.mkdir(parents=True)
    files = ["weights", *more]
    for name in files:
        (folder / name).write_text("old")
    (folder / MARKER).write_text(json.dumps({"owner": owner, "files": files}))
    return folder


def test_a_folder_appears_when_its_block_ends(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "out"
    with new_folder(folder) as temporary:
        (temporary / "weights").write_text("new")
        assert not folder.exists()
    assert (folder / "weights").read_text() == "new"
    assert [path.name for path in folder.parent.iterdir()] == ["out"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with new_folder(tmp_path / "out") as temporary:
        (temporary / "weights").write_text("new")
    assert (tmp_path / "out" / "weights").read_text() == "new"


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    folder = _ours(tmp_path / "out", "study-1", "shard-of-old")
    with new_folder(folder) as temporary:
        (temporary / "weights").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in folder.iterdir()] == ["weights"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    folder = _ours(tmp_path / "out")

    def fail() -> None:
        with new_folder(folder) as temporary:
            (temporary / "weights").write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (folder / "weights").read_text() == "old"


def test_what_a_crash_between_the_renames_left_is_put_back(tmp_path: Path) -> None:
    _ours(tmp_path / ".out.old")

    def fail() -> None:
        with new_folder(tmp_path / "out"):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (tmp_path / "out" / "weights").read_text() == "old"


def test_the_old_folder_returns_if_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _ours(tmp_path / "out")
    rename = Path.rename

    def failing(self: Path, place: Path) -> Path:
        if self.suffix == ".tmp":
            raise PermissionError(13, "Permission denied")
        return rename(self, place)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(CheckpointError, match="cannot be written: Permission denied"), new_folder(folder):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (folder / "weights").read_text() == "old"


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="cannot be written"), new_folder(tmp_path / "file" / "out"):
        pass


def test_nothing_an_empty_folder_and_our_own_may_be_written_to(tmp_path: Path) -> None:
    check_replaceable(tmp_path / "nothing", "study-1", overwrite=False)
    (tmp_path / "empty").mkdir()
    check_replaceable(tmp_path / "empty", None, overwrite=False)
    check_replaceable(_ours(tmp_path / "ours"), "study-1", overwrite=False)


@pytest.mark.parametrize(
    ("owner", "said"), [("study-2", "was written by another run"), (None, "holds a merged model already")]
)
def test_another_runs_model_stays(tmp_path: Path, owner: str | None, said: str) -> None:
    folder = _ours(tmp_path / "out")
    with pytest.raises(CheckpointError, match=f"{said}; choose another output folder"):
        check_replaceable(folder, owner, overwrite=False)
    check_replaceable(folder, owner, overwrite=True)


def test_a_model_without_an_owner_belongs_to_nobody(tmp_path: Path) -> None:
    folder = _ours(tmp_path / "out")
    (folder / MARKER).write_text(json.dumps({"owner": None, "files": ["weights"]}))
    with pytest.raises(CheckpointError, match="holds a merged model already"):
        check_replaceable(folder, None, overwrite=False)


@pytest.mark.parametrize("marker", [None, "{", "[]"])
def test_a_folder_that_is_not_ours_stays(tmp_path: Path, marker: str | None) -> None:
    folder = _ours(tmp_path / "out")
    (folder / MARKER).unlink() if marker is None else (folder / MARKER).write_text(marker)
    assert read_marker(folder) == {}
    with pytest.raises(CheckpointError, match="is not empty"):
        check_replaceable(folder, "study-1", overwrite=False)


def test_files_the_user_added_stay(tmp_path: Path) -> None:
    folder = _ours(tmp_path / "out")
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
        place.symlink_to(_ours(tmp_path / "elsewhere"))
    with pytest.raises(CheckpointError, match="is not a folder"):
        check_replaceable(place, "study-1", overwrite=True)


def test_what_a_killed_writer_left_is_removed_by_the_next_and_a_living_ones_is_not(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from tvmerge.merging.export.folders import new_folder\n"
        "with new_folder(Path(sys.argv[1])) as temporary:\n"
        "    (temporary / 'weights').write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path / "out")], check=False)
    assert killed.returncode == -signal.SIGKILL
    (leftover,) = tmp_path.iterdir()
    assert (leftover / "weights").read_text() == "half"
    with new_folder(tmp_path / "out") as living, new_folder(tmp_path / "out") as other:
        assert not leftover.exists()
        assert living.exists()
        (other / "weights").write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert not list((tmp_path / "out").glob(".*"))
