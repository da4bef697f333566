"""What commands take until their first line, and a run until its first merge."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence

from perf.load.shared import benchmark, new_folder, optimize, report
from perf.load.trials import MarkedEngine

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("--version",),
    ("--help",),
    *((name, "--help") for name in ("optimize", "merge", "judge", "report", "status", "cache", "check")),
    ("doctor",),
)


def measure_starts() -> None:
    """Print what every command takes until its first line, and `optimize` until its first trial."""
    for command in COMMANDS:
        report(f"tvmerge {' '.join(command)}: first line", f"{_first_line(command):.2f} s", "2 s")
    with new_folder() as folder:
        demo = ("optimize", "--config", "demo", "--run-dir", str(folder / "run"), "--n-trials", "2")
        report("tvmerge optimize, demo: first line", f"{_first_line(demo):.2f} s", "2 s")
    with new_folder() as folder:
        marks: list[tuple[str, float]] = []
        bench = benchmark(folder / "bench", 8, "start", turns=1)
        begun = time.perf_counter()
        optimize(folder, bench, MarkedEngine(marks), judge="rules", n_trials=2, holdout=0.0)
        report("optimize, tiny models: first merge", f"{marks[0][1] - begun:.2f} s", "5 s")


def _first_line(command: Sequence[str]) -> float:
    """Return the seconds until a command's first line, and end it then."""
    begun = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "tvmerge", *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        seconds = time.perf_counter() - begun
        process.kill()
    return seconds
