"""Damages one file of each kind that tvmerge reads, and counts what the command line does.

Run as `python -m perf.malformed [--cases 400] [--seed 0] [--kinds ledger,questions] [--jobs 2]`. Each case
damages one file of a sound setting, in a way drawn from the seed and the number of the case, and runs a
command that reads it. It must work, or end with exit code 2 and one line of error: the exit code is 1 if any
case gives a traceback (exit code 70), does not end within a minute, or ends in another way.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

from perf.malformed.kinds import KINDS, MODELS, files, spoiled
from perf.malformed.running import OUTCOMES, REFUSED, WORKS, Outcome, attempt, loaded

RUN = ("--n-trials=2", "--max-new-tokens=4", "--bench-name=bench", "--run-dir=run", "--study-name=s", "-q")


_PREFIX = "tvmerge-malformed-"

_JUDGED = ("demo", "--dry-run", "--judge=judge.toml")


def prepare(root: Path) -> None:
    """Fill a folder with sound files of all kinds, some of them by a short run."""
    from tvmerge._util.assets import bundled_demo_models, bundled_root

    root.mkdir()
    files(root, bundled_demo_models(), bundled_root())
    os.environ["TVMERGE_CACHE_DIR"] = "cache"
    os.environ["OPENAI_API_KEY"] = "none"
    made = attempt(["demo", *RUN], root)
    if made.kind != WORKS:
        raise SystemExit(f"the sound run fails: {made.said}")
    weights = json.loads((root / "run/result.json").read_text(encoding="utf-8"))["weights"]
    (root / "weights.json").write_text(json.dumps(weights), encoding="utf-8")
    _import_all(root)


def case(root: Path, name: str, number: int, seed: int) -> tuple[Outcome, str]:
    """Run one case, and say what it was."""
    rng = Random(f"{seed} {name} {number}")
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as place:
        folder = Path(place) / "case"
        shutil.copytree(root, folder, symlinks=True)
        argv, what = spoiled(KINDS[name], folder, rng)
        return attempt(argv, folder), f"{name}: {what}: tvmerge {' '.join(argv)}"


def main(argv: Sequence[str]) -> int:
    """Run the campaign, print a table and each case that ended badly."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cases", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args(argv)
    names = given.kinds.split(",")
    table: dict[str, Counter[str]] = defaultdict(Counter)
    slowest: dict[str, float] = defaultdict(float)
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as place, ThreadPoolExecutor(given.jobs) as pool:
        root = Path(place) / "sound"
        prepare(root)
        drawn = [(names[number % len(names)], number) for number in range(given.cases)]
        outcomes = pool.map(lambda each: case(root, each[0], each[1], given.seed), drawn)
        for (name, _), (outcome, what) in zip(drawn, outcomes, strict=True):
            table[name][outcome.kind] += 1
            slowest[name] = max(slowest[name], outcome.seconds)
            if outcome.kind not in {WORKS, REFUSED}:
                print(f"{outcome.kind}: {what}\n    {outcome.said}", flush=True)
    return _print(table, slowest)


def _print(table: dict[str, Counter[str]], slowest: dict[str, float]) -> int:
    print(f"{'file':24}", *(f"{kind:>10}" for kind in OUTCOMES), f"{'slowest':>10}")
    for name, counts in table.items():
        print(f"{name:24}", *(f"{counts[kind]:10}" for kind in OUTCOMES), f"{slowest[name]:9.1f}s")
    total = sum(table.values(), Counter())
    print(f"{'all':24}", *(f"{total[kind]:10}" for kind in OUTCOMES), f"{max(slowest.values()):9.1f}s")
    return 0 if total.total() == total[WORKS] + total[REFUSED] else 1


def _import_all(root: Path) -> None:
    """Import what a merge and a plan import, so that no case has to."""
    for argv in (
        ("merge", *MODELS, "--weight=0.5", "--output-dir=first"),
        ("demo", "--dry-run", *MODELS),
        _JUDGED,
    ):
        for name in loaded(argv, root):
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    shutil.rmtree(root / "first")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
