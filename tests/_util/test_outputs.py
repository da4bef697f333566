"""Whether results can be written, asked beforehand."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tvmerge._util.cache import ContentCache
from tvmerge._util.caches import Caches
from tvmerge._util.outputs import check_file, check_folder, check_new_folder
from tvmerge.errors import ConfigError, UserError


def test_a_file_in_folders_that_are_not_there_yet_can_be_written_and_nothing_is_made(tmp_path: Path) -> None:
    check_file(tmp_path / "a" / "b" / "judgments.jsonl", "--out")
    check_folder(tmp_path / "runs" / "one", "--run-dir")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_keeps_its_content(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("old", encoding="utf-8")
    check_file(out, "--out")
    assert out.read_text(encoding="utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


def test_a_link_is_followed_to_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "good").symlink_to(tmp_path / "there" / "new.jsonl")
    (tmp_path / "folder").symlink_to(tmp_path / "there")
    check_file(tmp_path / "good", "--out")
    check_folder(tmp_path / "folder", "--run-dir")
    with pytest.raises(ConfigError, match=r"--out .*folder is a folder"):
        check_file(tmp_path / "folder", "--out")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ConfigError, match="symbolic links"):
        check_file(tmp_path / "loop", "--out")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
def test_devices_and_pipes_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "socket"))
        for path, kind in ((Path(os.devnull), "a device"), (tmp_path / "pipe", "a pipe")):
            with pytest.raises(ConfigError, match=f"is {kind} and not a file"):
                check_file(path, "--out")
        with pytest.raises(ConfigError, match="a socket and not a folder"):
            check_folder(tmp_path / "socket", "--run-dir")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="pipes have no names here")
def test_a_pipe_behind_a_link_is_no_file() -> None:
    reading, writing = os.pipe()
    try:
        with pytest.raises(ConfigError, match="is a pipe and not a file"):
            check_file(Path(f"/proc/self/fd/{writing}"), "--out")
    finally:
        os.close(reading)
        os.close(writing)


def test_what_cannot_be_a_path_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="a part of the path is a file"):
        check_file(tmp_path / "file" / "out.jsonl", "--out")
    with pytest.raises(ConfigError, match="is a file and not a folder"):
        check_folder(tmp_path / "file", "--run-dir")
    with pytest.raises(ConfigError, match="is too long; shorten it"):
        check_file(tmp_path / ("語" * 100), "--out")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a place where nobody makes files")
def test_a_place_where_nobody_makes_files_is_refused() -> None:
    with pytest.raises(ConfigError, match="files cannot be created there"):
        check_file(Path("/proc/out.jsonl"), "--out")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_what_is_write_protected_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").touch(mode=0o400)
    with pytest.raises(ConfigError, match="write-protected"):
        check_file(tmp_path / "out.jsonl", "--out")
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(ConfigError, match="Permission denied"):
        check_file(tmp_path / "closed" / "out.jsonl", "--out")


class _Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_a_full_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: _Usage(10**7, 0, 10**7))
    check_file(tmp_path / "out.jsonl", "--out")
    with pytest.raises(ConfigError, match=r"--out .*\(the disk is full\)"):
        check_file(tmp_path / "out.jsonl", "--out", room=10**8)


def test_the_caches_say_which_variable_names_their_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"the cache folder \(TVMERGE_CACHE_DIR\) .*file is a file"):
        Caches(tmp_path / "file")


def test_a_cache_whose_disk_is_full_names_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def small(*args: Any, **settings: Any) -> sqlite3.Connection:
        database = connect(*args, **settings)
        database.execute("PRAGMA max_page_count = 20")
        return database

    connect: Callable[..., sqlite3.Connection] = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", small)
    cache = ContentCache(tmp_path / "judgments")
    with pytest.raises(UserError, match=r"the cache folder .*judgments cannot be written: .*full"):
        cache.put_many({f"key {n}": "x" * 2000 for n in range(200)})
    assert list(cache) == []
    cache.close()


@pytest.mark.parametrize("folder", ["", "not/there/yet/"])
def test_a_name_that_is_too_long_is_refused_even_in_folders_that_are_not_there(
    tmp_path: Path, folder: str
) -> None:
    for check in (check_file, check_folder, check_new_folder):
        check(tmp_path / folder / ("n" * 200), "--out")
        for name in ("n" * 256, "\u732b" * 86, "d" * 300 + "/n"):
            with pytest.raises(ConfigError, match=r"^--out .*(too long)"):
                check(tmp_path / folder / name, "--out")
    with pytest.raises(ConfigError, match="too long"):
        check_new_folder(tmp_path / folder / ("n" * 250), "--out")


def test_a_path_that_is_too_long_is_refused(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d" * 100] * 40)
    for check in (check_file, check_folder, check_new_folder):
        with pytest.raises(ConfigError, match="the path is too long"):
            check(deep, "--out")


def test_a_folder_to_fill_must_be_none_or_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    check_new_folder(tmp_path / "a" / "b", "--output-dir")
    check_new_folder(tmp_path, "--output-dir")
    with pytest.raises(ConfigError, match="is a file and not a folder"):
        check_new_folder(tmp_path / "file", "--output-dir")
    with pytest.raises(ConfigError, match="a part of the path is a file"):
        check_new_folder(tmp_path / "file" / "model", "--output-dir")
