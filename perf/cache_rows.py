"""Measures `tvmerge cache` with many rows: `python -m perf.cache_rows [--rows 100000] [--kb 2]`.

Makes a cache of judgments, of which every hundredth is damaged, and runs each command in a process of its
own. Prints its time, the part of it that it computed, and its peak memory, beside the goals for 100,000 rows.
"""

from __future__ import annotations

import argparse
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tvmerge._util.cache import ContentCache
from tvmerge._util.canonical import digest

GOALS = {"verify": (15.0, 100.0), "export": (15.0, 100.0)}
"""Seconds and MB."""

_AT_ONCE = 5_000


@dataclass(frozen=True)
class Cost:
    """What a command took: seconds, seconds of computing, and megabytes at its peak."""

    seconds: float
    computing: float
    megabytes: float
    code: int


def main() -> None:
    """Make the cache, run the commands and print what they took."""
    parser = argparse.ArgumentParser(description="Measures `tvmerge cache` with many rows.")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--kb", type=float, default=2.0, help="size of a row in kilobytes")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        fill(root, given.rows, round(given.kb * 1000))
        size = (root / "cache" / "judgments" / "cache.db").stat().st_size
        print(f"{given.rows:,} judgments, {size / 1e6:,.0f} MB; every hundredth is damaged")
        out = root / "rows.jsonl"
        for command in (["stats"], ["verify"], ["export", "--out", str(out)], ["prune"], ["verify"]):
            print(line(command[0], measured(root, command)), flush=True)
        with out.open(encoding="utf-8") as file:
            print(f"{sum(1 for _ in file):,} rows exported")


def fill(root: Path, rows: int, length: int) -> None:
    """Store so many judgments of about so many bytes, and damage every hundredth."""
    with closing(ContentCache(root / "cache" / "judgments")) as cache:
        for first in range(0, rows, _AT_ONCE):
            numbers = range(first, min(rows, first + _AT_ONCE))
            cache.put_many({digest(number): _judgment(number, length) for number in numbers})
        folder = cache.folder
    with closing(sqlite3.connect(folder / "cache.db")) as database, database:
        database.execute("UPDATE Cache SET value = CAST(x'31ff' AS TEXT) WHERE rowid % 100 = 0")


def _judgment(number: int, length: int) -> dict[str, object]:
    text = f"{number}番目の答えです。説明は正確で、日本語も自然です。" * (length // 80)
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}
    return {
        "kind": "judgment",
        "request": {"provider": "openai", "body": body, "sample": 0},
        "reply": {"text": "Rating: [[7]]", "finish": "stop", "usage": {"input": 100, "output": 20}},
    }


def measured(root: Path, command: Sequence[str]) -> Cost:
    """Return what a command took, in a process of its own."""
    env = {**os.environ, "TVMERGE_CACHE_DIR": str(root / "cache")}
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "tvmerge", "cache", *command],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    return Cost(seconds, used.ru_utime + used.ru_stime, _megabytes(used), process.returncode)


def _megabytes(used: resource.struct_rusage) -> float:
    return used.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def line(name: str, cost: Cost) -> str:
    """Return the figures of a command beside its goals."""
    goal = GOALS.get(name)
    told = f"   goal: {goal[0]:.0f} s, {goal[1]:.0f} MB" if goal else ""
    took = f"{cost.seconds:7.1f} s (computing {cost.computing:.1f}) {cost.megabytes:7.0f} MB"
    return f"cache {name:8} {took}  exit code {cost.code}{told}"


if __name__ == "__main__":
    main()
