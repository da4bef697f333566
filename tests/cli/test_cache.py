"""`tvmerge cache` ends and says what it found, whatever is in the cache."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tvmerge._util.cache import ContentCache
from tvmerge._util.cache_rows import pack
from tvmerge.cli.app import run


def plant(folder: Path, *rows: tuple[object, ...]) -> None:
    """Add rows (key, raw, mode, filename, value) as another program would."""
    with closing(sqlite3.connect(folder / "cache.db")) as database, database:
        database.executemany(
            "INSERT INTO Cache(key, raw, mode, filename, value) VALUES (?, ?, ?, ?, ?)", rows
        )


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that rows of the cache name, which has one sound row of 7."""
    foreign = tmp_path / "foreign.val"
    foreign.write_text(pack("a secret"), encoding="utf-8")
    monkeypatch.setenv("TVMERGE_CACHE_DIR", str(tmp_path / "cache"))
    judgments = ContentCache(tmp_path / "cache" / "judgments")
    judgments.put("sound", {"reply": "\x9b2J"})
    judgments.close()
    plant(
        judgments.folder,
        ("absolute", 1, 3, str(foreign), None),
        ("parent", 1, 3, "../../foreign.val", None),
        ("pickled", 1, 4, None, b"\x80\x04K\x07."),
        ("a title\x1b]0;gone\x07", 1, 1, None, "broken"),
        (b"\x80\x04K\x07.", 0, 1, None, "text"),
        (7, 1, 1, None, "text"),
    )
    with closing(sqlite3.connect(judgments.folder / "cache.db")) as database, database:
        insert = "INSERT INTO Cache(key, raw, mode, value) VALUES (CAST(? AS TEXT), 1, 1, CAST(? AS TEXT))"
        database.executemany(insert, [(b"bytes", b"\xff"), (b"\xff", pack("sound").encode())])
    return foreign


def test_damaged_rows_are_listed_left_out_and_dropped(
    planted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["cache", "verify"]) == 2
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 8
    assert "judgments absolute: its file is missing, or is not a file of the cache" in said.out
    assert "\x1b" not in said.out
    assert "8 rows are damaged" in said.err
    assert run(["cache", "export"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"key": "sound", "value": {"reply": "\x9b2J"}}
    assert "\x9b" not in printed.out
    assert printed.err == "damaged and left out: 8 rows; `tvmerge cache verify` lists them\n"
    written = planted.parent / "judgments.jsonl"
    assert run(["cache", "export", "--out", str(written)]) == 0
    assert f"judgments: 1 row in {written}\n" in capsys.readouterr().out
    assert len(written.read_text().splitlines()) == 1
    assert run(["cache", "explain", "par"]) == 2
    assert "not a file of the cache; `tvmerge cache prune` drops it" in capsys.readouterr().err
    assert run(["cache", "prune"]) == 0
    assert "8 rows dropped" in capsys.readouterr().out
    assert run(["cache", "verify"]) == 0
    assert "every row is valid: 1 row\n" in capsys.readouterr().out
    assert planted.exists()


def test_a_cache_that_cannot_be_opened_hides_no_damage_in_another(
    planted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = planted.parent / "cache" / "answers"
    answers.mkdir()
    (answers / "cache.db").write_bytes(b"no database" * 1000)
    assert run(["cache", "verify"]) == 2
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 8
    assert f"{answers} cannot be opened" in said.err
    assert "1 are valid and 8 damaged" in said.err
    assert run(["cache", "prune"]) == 2
    said = capsys.readouterr()
    assert "8 rows dropped" in said.out
    assert f"{answers} cannot be opened" in said.err


def test_an_export_replaces_only_one_of_rows_that_are_still_there(
    planted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = planted.parent / "judgments.jsonl"
    for _ in range(2):
        assert run(["cache", "export", f"--out={out}"]) == 0
    capsys.readouterr()
    pruned = json.dumps({"key": "paid once", "value": {"reply": "7"}}) + "\n"
    for before, why in (
        (out.read_text(encoding="utf-8") + pruned, "the row paid once, which is no longer in the cache"),
        ("my notes\n", "is not an export"),
        ('{"key": 1, "value": 2}\n', "its line 1 is no row"),
        ('{"key": "sound", "value": 2, "mine": 3}\n', "its line 1 is no row"),
    ):
        out.write_text(before, encoding="utf-8")
        assert run(["cache", "export", f"--out={out}"]) == 2
        assert why in capsys.readouterr().err
        assert out.read_text(encoding="utf-8") == before
    assert run(["cache", "export", f"--out={planted.parent / 'cache' / 'judgments' / 'cache.db'}"]) == 2
    assert "is not an export" in capsys.readouterr().err
