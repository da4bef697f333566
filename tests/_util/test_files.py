"""Files that are written whole or not at all, and what a kill leaves of them."""

from __future__ import annotations

import errno
import multiprocessing
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

from tvmerge._util.files import (
    append_text,
    end_last_line,
    make_folder_for,
    remove_leftovers,
    write_pieces,
    write_text,
)


def cut_off(path: Path) -> None:
    """Write a file in a process that ends before the file has its name."""
    with patch("os.fsync", lambda _: os._exit(9)):
        write_text(path, "new")


@pytest.mark.parametrize("name", ["result.json", "結果.json", "x" * 200, "a\nb"])
def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path, name: str) -> None:
    write_text(tmp_path / name, "old")
    process = multiprocessing.get_context("fork").Process(target=cut_off, args=(tmp_path / name,))
    process.start()
    process.join()
    foreign = {".result.json.abcdefgh.tmp", "x.tvmerge-abcdefgh.tmp", ".x.tvmerge-abcdefgh.tmp.bak", ".y.tmp"}
    for other in foreign:
        (tmp_path / other).touch()
    (tmp_path / ".folder.tvmerge-abcdefgh.tmp").mkdir()
    (tmp_path / ".link.tvmerge-abcdefgh.tmp").symlink_to(tmp_path / name)
    assert len(list(tmp_path.iterdir())) == len(foreign) + 4
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        *(name, ".folder.tvmerge-abcdefgh.tmp", ".link.tvmerge-abcdefgh.tmp"),
        *foreign,
    }
    assert (tmp_path / name).read_text(encoding="utf-8") == "old"


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """Leave these permissions out of what is made."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.skipif(os.name == "nt", reason="no permissions of this kind")
@pytest.mark.parametrize(("mask", "mode"), [(0o077, 0o600), (0o022, 0o644), (0o002, 0o664)])
def test_a_new_file_or_folder_has_the_permissions_that_the_umask_leaves(
    tmp_path: Path, mask: int, mode: int
) -> None:
    with umask(mask):
        write_text(tmp_path / "result.json", "new")
        folder = make_folder_for(tmp_path / "model", "model")
    assert mode_of(tmp_path / "result.json") == mode
    assert mode_of(folder) == 0o777 & ~mask


@pytest.mark.skipif(os.name == "nt", reason="no permissions of this kind")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o666])
def test_a_file_or_folder_keeps_the_permissions_of_what_it_replaces_from_the_beginning(
    tmp_path: Path, mode: int
) -> None:
    path, old = tmp_path / "answers.jsonl", tmp_path / "model"
    path.touch()
    path.chmod(mode)
    old.mkdir()
    old.chmod(mode & 0o700 | 0o050)
    while_written: list[int] = []

    def pieces() -> Iterator[str]:
        (temporary,) = tmp_path.glob(".answers*.tmp")
        while_written.append(mode_of(temporary))
        yield "new"

    write_pieces(path, pieces())
    assert (path.read_text(encoding="utf-8"), mode_of(path), while_written) == ("new", mode, [mode])
    assert mode_of(make_folder_for(old, "model")) == 0o750


def test_a_folder_that_does_not_exist_has_no_leftovers(tmp_path: Path) -> None:
    remove_leftovers(tmp_path / "none")
    assert not (tmp_path / "none").exists()


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes, as on a full disk."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_last_line_is_ended_or_removed(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    for before, after in (("", ""), ("1\n", "1\n"), ("1\n[2]", "1\n[2]\n"), ("1\n[2", "1\n"), ("[", "")):
        path.write_text(before, encoding="utf-8")
        end_last_line(path)
        assert path.read_text(encoding="utf-8") == after


def test_no_line_is_lost_where_a_last_line_cannot_be_ended(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text("[1]\n[2]", encoding="utf-8")
    with files_up_to(7), pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
        end_last_line(path)
    assert path.read_text(encoding="utf-8") == "[1]\n[2]"
    path.write_text("[1]\n[2", encoding="utf-8")
    with files_up_to(2):
        end_last_line(path)
    assert path.read_text(encoding="utf-8") == "[1]\n"


def test_a_text_is_appended_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "ledger.jsonl"
    append_text(path, "一\n")
    append_text(path, "2\n")
    with files_up_to(8), pytest.raises(OSError, match=os.strerror(errno.EFBIG)) as raised:
        append_text(path, "three\n")
    assert raised.value.filename == str(path)
    append_text(path, "4\n")
    assert path.read_bytes() == "一\n2\n4\n".encode()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
def test_nothing_takes_the_place_of_a_pipe_a_device_or_a_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to(os.devnull)
    (tmp_path / "folder").mkdir()
    for name, why in (("pipe", "a pipe"), ("null", "a device"), ("folder", "directory")):
        for write in (write_text, append_text):
            with pytest.raises(OSError, match=why):
                write(tmp_path / name, "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "null", "pipe"]
    assert (tmp_path / "pipe").is_fifo()
