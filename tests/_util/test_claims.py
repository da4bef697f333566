"""One owner works on a key at a time, and what an owner leaves is free again."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tvmerge._util.claims import BEAT, SILENCE, Claims

HOLDER = """
import sys, time
from pathlib import Path
from tvmerge._util.claims import Claims
claims = Claims(Path(sys.argv[1]))
print(claims.take(["a", "b"]), flush=True)
time.sleep(600)
"""


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_key_has_one_owner_until_it_is_let_go(tmp_path: Path) -> None:
    one, other = Claims(tmp_path), Claims(tmp_path)
    assert one.take(["a", "b"]) == [True, True]
    assert other.take(["a", "c"]) == [False, True]
    assert other.taken(["a", "b", "c", "d"]) == [True, True, False, False]
    other.let_go(["a"])
    assert other.take(["a"]) == [False]
    one.let_go(["a"])
    assert other.taken(["a"]) == [False]
    assert other.take(["a"]) == [True]
    one.close()
    assert other.take(["b"]) == [True]
    other.close()
    assert [path.name for path in tmp_path.iterdir()] == ["claims.db"]


def test_what_a_killed_process_has_claimed_is_free_at_once(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "[True, True]\n"
        claims = Claims(tmp_path)
        assert claims.take(["a"]) == [False]
        holder.kill()
    assert claims.taken(["a", "b"]) == [False, False]
    assert claims.take(["a"]) == [True]
    claims.close()
    Claims(tmp_path).close()  # whoever comes next tidies up
    assert [path.name for path in tmp_path.iterdir()] == ["claims.db"]


def heartbeats(folder: Path) -> int:
    """How often all owners have given a sign of life."""
    with closing(sqlite3.connect(folder / "claims.db")) as database:
        return int(database.execute("SELECT sum(beat) FROM owners").fetchone()[0])


@pytest.mark.parametrize("alive", [True, False], ids=["at work", "stopped"])
def test_only_an_owner_that_gives_no_sign_of_life_loses_its_claims(tmp_path: Path, alive: bool) -> None:
    clock = Clock()
    owner = Claims(tmp_path, beat=0.001 if alive else 1e6)
    other = Claims(tmp_path, clock=clock, beat=1e6)
    assert owner.take(["a"]) == [True]
    for second in range(int(SILENCE)):
        clock.now = second
        assert other.take(["a"]) == [False]
    begun = heartbeats(tmp_path)
    while alive and heartbeats(tmp_path) == begun:
        time.sleep(0.001)
    clock.now = SILENCE
    assert other.take(["a"]) == [not alive]
    owner.let_go(["a"])
    assert owner.take(["a"]) == [alive]  # a claim that was taken over is the other's
    owner.close()
    other.close()


def test_an_owner_or_a_link_that_names_a_file_elsewhere_leaves_it_as_it_is(tmp_path: Path) -> None:
    foreign, folder = tmp_path / "foreign.lock", tmp_path / "claims"
    foreign.write_text("not ours", encoding="utf-8")
    Claims(folder).close()
    link = "0" * 32
    (folder / f"{link}.lock").symlink_to(foreign)
    owners = ["../foreign", str(foreign.with_suffix("")), link, "a\0b"]
    with closing(sqlite3.connect(folder / "claims.db")) as database, database:
        database.executemany("INSERT INTO owners VALUES (?, 1)", [(owner,) for owner in owners[1:]])
        database.executemany("INSERT INTO claims VALUES (?, ?)", [(owner, owner) for owner in owners])
    claims = Claims(folder)
    assert claims.take(owners) == [True] * 4
    claims.close()
    assert foreign.read_text(encoding="utf-8") == "not ours"


@pytest.mark.parametrize("odd", ["'x'", "x'ff'", "9e999"])
def test_owners_and_heartbeats_of_any_type_keep_nobody_from_working(tmp_path: Path, odd: str) -> None:
    Claims(tmp_path).close()
    owner = Claims(tmp_path, beat=1e6)
    owner.take(["a"])
    with closing(sqlite3.connect(tmp_path / "claims.db")) as database, database:
        database.execute(f"UPDATE owners SET beat = {odd}")
        database.execute(f"INSERT INTO owners VALUES ({odd}, {odd})")
    other = Claims(tmp_path)
    assert other.take(["a", "b"]) == [False, True]
    assert other.taken(["a", "b"]) == [True, False]
    owner.close()
    other.close()


def test_who_did_not_listen_has_not_heard_silence(tmp_path: Path) -> None:
    clock = Clock()
    owner, other = Claims(tmp_path, beat=1e6), Claims(tmp_path, clock=clock, beat=1e6)
    owner.take(["a"])
    assert other.take(["a"]) == [False]
    clock.now = SILENCE + 3 * BEAT
    assert other.take(["a"]) == [False]
    owner.close()
    other.close()
