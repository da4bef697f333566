"""Folders appear whole or not at all, and what is not ours is never removed."""

from __future__ import annotations

import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.merging.export.written import ours
from tvmerge._util.files import write_text
from tvmerge.errors import CheckpointError
from tvmerge.merging.export.folders import MARKER, REPLACED, WRITING, check_replaceable
from tvmerge.merging.export.replacement import new_folder, translated


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
    folder = ours(tmp_path / "out", "study-1", "shard-of-old")
    with new_folder(folder) as temporary:
        (temporary / "weights").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in folder.iterdir()] == ["weights"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    folder = ours(tmp_path / "out")

    def fail() -> None:
        with new_folder(folder) as temporary:
            (temporary / "weights").write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (folder / "weights").read_text() == "old"


def test_what_a_crash_between_the_renames_left_is_put_back_before_it_is_checked(tmp_path: Path) -> None:
    old = ours(tmp_path / ".out.abc.old")
    (old / REPLACED).touch()
    seen: list[str] = []

    def fail() -> None:
        with new_folder(tmp_path / "out", lambda: seen.append((tmp_path / "out" / "weights").read_text())):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert seen == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert not (tmp_path / "out" / REPLACED).exists()


def test_an_old_folder_whose_successor_is_there_is_removed(tmp_path: Path) -> None:
    old = ours(tmp_path / ".out.abc.old")
    (old / REPLACED).touch()
    folder = ours(tmp_path / "out")
    with new_folder(folder) as temporary:
        (temporary / "weights").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("name", [".out.old", ".out.abc.old", ".out.abc.tmp", ".out.tmp", ".outer.abc.tmp"])
def test_a_folder_of_the_user_with_a_name_like_ours_stays(tmp_path: Path, name: str) -> None:
    model = ours(tmp_path / name)
    for mark in (".lock", MARKER):
        (model / mark).touch()
    for _ in range(2):
        with new_folder(tmp_path / "out") as temporary:
            (temporary / "weights").write_text("new")
    assert (model / "weights").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "out"])


@pytest.mark.parametrize(
    ("name", "mark"), [(".out.v2.abcd1234.tmp", WRITING), (".out.v2.abcd1234.old", REPLACED)]
)
def test_what_belongs_to_a_place_whose_name_begins_alike_stays(tmp_path: Path, name: str, mark: str) -> None:
    other = ours(tmp_path / name)
    (other / mark).touch()
    with new_folder(tmp_path / "out") as temporary:
        (temporary / "weights").write_text("new")
    assert (other / "weights").read_text() == "old"
    assert (other / mark).is_file()


@pytest.mark.parametrize(("name", "mark"), [(".out.abcd1234.tmp", WRITING), (".out.abcd1234.old", REPLACED)])
def test_a_link_with_a_name_like_ours_stays(tmp_path: Path, name: str, mark: str) -> None:
    model = ours(tmp_path / "model")
    (model / mark).touch()
    (tmp_path / name).symlink_to("model")
    with new_folder(tmp_path / "out") as temporary:
        (temporary / "weights").write_text("new")
    assert (tmp_path / name).is_symlink()
    assert (model / mark).is_file()


def test_an_old_folder_stays_if_the_user_has_put_another_into_its_place(tmp_path: Path) -> None:
    old = ours(tmp_path / ".out.abcd1234.old")
    (old / REPLACED).touch()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    with (
        pytest.raises(CheckpointError, match="is not empty"),
        new_folder(tmp_path / "out", partial(check_replaceable, tmp_path / "out", None, overwrite=False)),
    ):
        pass
    assert (old / "weights").read_text() == "old"


def test_what_comes_into_the_place_while_a_folder_is_filled_is_not_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "out"

    def fill() -> None:
        with new_folder(folder, partial(check_replaceable, folder, None, overwrite=False)):
            folder.mkdir()
            (folder / "thesis.tex").write_text("mine")

    with pytest.raises(CheckpointError, match="is not empty"):
        fill()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (folder / "thesis.tex").read_text() == "mine"


def test_a_link_that_is_turned_while_a_folder_is_filled_leads_nowhere_else(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "first")
    with new_folder(link / "out") as temporary:
        link.unlink()
        link.symlink_to(tmp_path / "second")
        (temporary / "weights").write_text("new")
    assert (tmp_path / "first" / "out" / "weights").read_text() == "new"
    assert list((tmp_path / "second").iterdir()) == []


@pytest.mark.parametrize(
    ("error", "raised"),
    [(PermissionError(13, "Permission denied"), CheckpointError), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_the_old_folder_returns_if_the_new_one_does_not_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, raised: type[BaseException]
) -> None:
    folder = ours(tmp_path / "out")
    rename = Path.rename

    def failing(self: Path, place: Path) -> Path:
        if self.suffix == ".tmp":
            raise error
        return rename(self, place)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(raised), new_folder(folder):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert sorted(path.name for path in folder.iterdir()) == [MARKER, "weights"]
    assert (folder / "weights").read_text() == "old"


def test_ctrl_c_while_the_old_folder_is_removed_leaves_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ours(tmp_path / "out")
    unlink, interrupts = Path.unlink, [KeyboardInterrupt()]

    def interrupted(self: Path, missing_ok: bool = False) -> None:
        if self.parent.suffix == ".old" and interrupts:
            raise interrupts.pop()
        unlink(self, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", interrupted)
    with pytest.raises(KeyboardInterrupt), new_folder(folder) as temporary:
        (temporary / "weights").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in folder.iterdir()] == ["weights"]


def test_a_leftover_keeps_its_mark_until_it_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = ours(tmp_path / ".out.abcd1234.old")
    (old / REPLACED).touch()
    ours(tmp_path / "out")
    kept: list[bool] = []
    unlink = Path.unlink

    def watched(self: Path, missing_ok: bool = False) -> None:
        unlink(self, missing_ok=missing_ok)
        if self.parent == old:
            kept.append((old / REPLACED).is_file())

    monkeypatch.setattr(Path, "unlink", watched)
    with new_folder(tmp_path / "out"):
        pass
    assert kept == [True, True]
    assert not old.exists()


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="cannot be written"), new_folder(tmp_path / "file" / "out"):
        pass


FILL = (
    "import os, signal, sys\n"
    "from pathlib import Path\n"
    "from tvmerge.merging.export.replacement import new_folder, translated\n"
    "with new_folder(Path(sys.argv[1])) as temporary:\n"
    "    (temporary / 'weights').write_text('half')\n"
)


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path: Path) -> None:
    script = FILL + "    os.kill(os.getpid(), signal.SIGKILL)\n"
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path / "out")], check=False)
    assert killed.returncode == -signal.SIGKILL
    (leftover,) = tmp_path.glob("*.tmp")
    assert (leftover / "weights").read_text() == "half"
    with new_folder(tmp_path / "out") as other:
        assert not leftover.exists()
        (other / "weights").write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert not list((tmp_path / "out").glob(".*"))


def test_a_place_that_another_process_is_writing_is_refused(tmp_path: Path) -> None:
    script = FILL + "    print('filling', flush=True); sys.stdin.read()\n"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "out")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(CheckpointError, match="another tvmerge is writing"), new_folder(tmp_path / "out"):
            pass
        other.communicate()
    assert (tmp_path / "out" / "weights").read_text() == "half"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_error_says_once_that_a_folder_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()
    with pytest.raises(CheckpointError) as raised, translated(tmp_path):
        write_text(tmp_path / "config.json", "{}")
    assert str(raised.value) == f"{tmp_path}: cannot be written: Is a directory"
