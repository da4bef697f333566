"""A cache keeps what it is given, and reads nothing that it did not write."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tvmerge._util.cache import ContentCache
from tvmerge._util.cache_rows import pack
from tvmerge._util.caches import Caches
from tvmerge.errors import UserError

LONG = "x" * 100_000


def change(folder: Path, statement: str, *values: object) -> None:
    """Change the database as another program would."""
    with closing(sqlite3.connect(folder / "cache.db")) as database, database:
        database.execute(statement, values)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[ContentCache]:
    """One with a sound row and a row to damage."""
    opened = ContentCache(tmp_path / "cache")
    opened.put_many({"sound": {"text": "評価"}, "row": {"text": LONG}})
    yield opened
    opened.close()


class Trap:
    """A pickle of it makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self._path,)


DAMAGES = {
    "another checksum": "UPDATE Cache SET value = replace(value, 'x', 'y') WHERE key = 'row'",
    "cut": "UPDATE Cache SET value = substr(value, 1, 50) WHERE key = 'row'",
    "not UTF-8": "UPDATE Cache SET value = CAST(x'313aff' AS TEXT) WHERE key = 'row'",
    "not UTF-8 after the checksum": (
        "UPDATE Cache SET value = substr(value, 1, 19) || CAST(x'22eda08022' AS TEXT) WHERE key = 'row'"
    ),
    "bytes": "UPDATE Cache SET value = x'00ff' WHERE key = 'row'",
    "a number": "UPDATE Cache SET value = 7 WHERE key = 'row'",
    "nothing": "UPDATE Cache SET value = NULL WHERE key = 'row'",
    "another schema": "UPDATE Cache SET value = '2' || substr(value, 2) WHERE key = 'row'",
    "a NUL": "UPDATE Cache SET value = CAST(x'00' AS TEXT) WHERE key = 'row'",
    "no such mode": "UPDATE Cache SET mode = 'text' WHERE key = 'row'",
    "a file that is not there": (
        "UPDATE Cache SET mode = 3, filename = '00/11/2222222222222222222222222222.val', value = NULL "
        "WHERE key = 'row'"
    ),
}


@pytest.mark.parametrize("statement", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_row_is_a_miss_and_told_once(cache: ContentCache, statement: str) -> None:
    change(cache.folder, statement)
    lines: list[str] = []
    cache.note = lines.append
    assert [cache.get("row"), cache.get("row")] == [None, None]
    assert cache.get("sound") == {"text": "評価"}
    (line,) = lines
    assert "has a damaged row, which counts as missing" in line
    assert [row.key for row in cache.rows() if row.fault] == ["row"]
    cache.put("row", 1)
    assert cache.get("row") == 1


@pytest.mark.parametrize("text", ["[" * 5000, "9" * 400, "{", "null", '"\\ud800"'])
def test_a_row_with_the_right_checksum_is_read_or_missing_but_no_error(
    cache: ContentCache, text: str
) -> None:
    packed = pack("?").replace(pack("?").split(":", 2)[1], _checksum(text))
    change(cache.folder, "UPDATE Cache SET value = ? WHERE key = 'row'", packed.replace('"?"', text))
    assert cache.get("row") == ("�" if "ud800" in text else None)
    assert len(list(cache.rows())) == 2


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def test_nothing_is_unpickled(cache: ContentCache, tmp_path: Path) -> None:
    made = tmp_path / "made"
    planted = pickle.dumps(Trap(made))
    change(cache.folder, "UPDATE Cache SET mode = 4, value = ? WHERE key = 'row'", planted)
    change(cache.folder, "INSERT INTO Cache(key, raw, mode, value) VALUES (?, 0, 1, '')", planted)
    assert cache.get("row") is None
    faults = [row.fault for row in cache.rows()]
    assert faults == ["", "it is pickled, and pickles are never read", "its key is not text"]
    assert list(cache) == ["sound", "row"]
    cache.drop([row.number for row in cache.rows() if row.fault])
    assert list(cache) == ["sound"]
    assert not made.exists()


def outside(folder: Path, tmp_path: Path, kind: str) -> tuple[Path, str]:
    """A file that is not the cache's, and how a row names it."""
    foreign = tmp_path / "foreign.val"
    foreign.write_text(pack("secret"), encoding="utf-8")
    name = "ab/cd/" + "0" * 28 + ".val"
    inside = folder / name
    match kind:
        case "absolute":
            return foreign, str(foreign)
        case "parent":
            return foreign, "../foreign.val"
        case "parent of a folder":
            return foreign, "ab/cd/../../../foreign.val"
        case "its own database":
            return folder / "cache.db", "cache.db"
        case "link":
            inside.parent.mkdir(parents=True)
            inside.symlink_to(foreign)
        case "folder that is a link":
            (tmp_path / "cd").mkdir()
            foreign = foreign.rename(tmp_path / "cd" / inside.name)
            (folder / "ab").mkdir()
            (folder / "ab" / "cd").symlink_to(tmp_path / "cd")
        case "pipe":
            inside.parent.mkdir(parents=True)
            os.mkfifo(inside)
            foreign = inside
    return foreign, name


KINDS = (
    "absolute",
    "parent",
    "parent of a folder",
    "its own database",
    "link",
    "folder that is a link",
    "pipe",
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_that_names_a_file_elsewhere_neither_reads_nor_deletes_it(
    cache: ContentCache, tmp_path: Path, kind: str
) -> None:
    foreign, name = outside(cache.folder, tmp_path, kind)
    for doing in ("replace", "drop"):
        change(cache.folder, "UPDATE Cache SET mode = 3, filename = ?, value = NULL WHERE key = 'row'", name)
        assert cache.get("row") is None
        (row,) = [row for row in cache.rows() if row.fault]
        assert row.fault == "its file is missing, or is not a file of the cache"
        if doing == "replace":
            cache.put("row", 1)
        else:
            cache.drop([row.number])
        assert foreign.exists()


def test_long_values_of_earlier_releases_are_read_and_their_files_deleted_with_them(
    cache: ContentCache,
) -> None:
    name = "ab/cd/" + "0" * 28 + ".val"
    for doing in ("replace", "drop"):
        (cache.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (cache.folder / name).write_text(pack(LONG), encoding="utf-8")
        change(cache.folder, "UPDATE Cache SET mode = 3, filename = ?, value = NULL WHERE key = 'row'", name)
        row = cache.row("row")
        assert row is not None
        assert row.value == LONG
        if doing == "replace":
            cache.put("row", 1)
        else:
            cache.drop([row.number])
        assert not (cache.folder / name).exists()


def test_many_values_are_stored_at_once_in_place_of_those_that_were_there(cache: ContentCache) -> None:
    few = {f"{number}": {"before": number} for number in range(0, 250, 3)}
    many = {f"{number}": {"text": "評価" * number} for number in range(250)}
    cache.put_many(few)
    cache.put_many(many)
    cache.put_many({})
    assert {key: cache.get(key) for key in many} == many
    assert len(cache) == 252


def test_rows_come_in_order_whatever_their_numbers_and_as_many_as_there_are_now(cache: ContentCache) -> None:
    cache.put_many({str(number): number for number in range(1200)})
    change(cache.folder, "UPDATE Cache SET rowid = -9223372036854775808 WHERE key = '3'")
    change(cache.folder, "UPDATE Cache SET rowid = 9223372036854775807 WHERE key = '5'")
    keys = [row.key for row in cache.rows()]
    assert (len(keys), len(set(keys)), len(cache)) == (1202, 1202, 1202)
    assert (keys[0], keys[-1]) == ("3", "5")


def test_half_a_surrogate_pair_is_stored_as_the_sign_for_an_unknown_character(cache: ContentCache) -> None:
    cache.put("row", {"a \udc80 key": ["half \ud83d", "whole \ud83d\ude00", "NUL \0"]})
    assert cache.get("row") == {"a � key": ["half �", "whole 😀", "NUL \0"]}


def test_several_threads_may_use_one_cache(cache: ContentCache) -> None:
    def work(number: int) -> None:
        for step in range(20):
            cache.put(f"{number} {step}", step)
            assert cache.get(f"{number} {step}") == step

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cache) == 82


def test_a_database_that_is_none_says_where_it_is_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "cache.db").write_bytes(b"not a database, but long enough to be one" * 100)
    with pytest.raises(UserError, match=rf"{tmp_path} cannot be opened: .*: move the folder away"):
        ContentCache(tmp_path)


def test_a_database_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "cache.db").symlink_to(tmp_path / "another.db")
    with pytest.raises(UserError, match=r"cache\.db is a link"):
        ContentCache(tmp_path / "cache")
    assert not (tmp_path / "another.db").exists()


def test_a_database_with_damaged_pages_says_so_and_ends(cache: ContentCache) -> None:
    cache.put_many({str(number): LONG for number in range(20)})
    cache.close()
    path = cache.folder / "cache.db"
    content = bytearray(path.read_bytes())
    content[4096:-4096] = os.urandom(len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"cannot be (opened|read): .*move the folder away"):
        list(ContentCache(cache.folder).rows())


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_only_the_user_can_open_the_caches_that_are_made_and_that_were_open_to_others(tmp_path: Path) -> None:
    root = tmp_path / "new"
    for _ in range(2):
        Caches(root).close()
        places = [root, *(path for path in root.rglob("*") if path.is_dir())]
        assert {stat.S_IMODE(path.stat().st_mode) for path in places} == {0o700}
        for path in places:
            path.chmod(0o755)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_folder_with_other_things_in_it_stays_open_but_not_the_caches(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    tmp_path.chmod(0o755)
    Caches(tmp_path).close()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "judgments").stat().st_mode) == 0o700


@pytest.mark.skipif(os.name == "nt", reason="files in use cannot be removed")
@pytest.mark.parametrize("replaced", [False, True])
def test_what_is_stored_after_the_folder_was_removed_is_in_a_new_one(tmp_path: Path, replaced: bool) -> None:
    notes: list[str] = []
    folder = tmp_path / "cache"
    with closing(ContentCache(folder, note=notes.append)) as cache:
        cache.put("a", 1)
        shutil.rmtree(folder)
        if replaced:
            ContentCache(folder).close()
        cache.put("b", 2)
        cache.put("c", 3)
    with closing(ContentCache(folder)) as cache:
        assert [cache.get(key) for key in "abc"] == [None, 2, 3]
    (note,) = notes
    assert "was removed during the run" in note


def test_judgments_wait_for_the_disk_and_what_can_be_computed_again_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels: list[str] = []

    class Watched(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            levels.extend([sql.rsplit(maxsplit=1)[-1]] if "synchronous" in sql else [])
            return super().execute(sql, *values)

    monkeypatch.setattr("tvmerge._util.cache.GuardedConnection", Watched)
    Caches(tmp_path).close()
    assert levels == ["NORMAL", "FULL", "NORMAL"], "answers, judgments, digests"
