"""The program that measures searches: its options, its processes and its tables."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from pathlib import Path

from perf.economy.rows import BLOCK, Problem, Row, append_row, longest, read_rows
from perf.economy.searches import searched
from perf.economy.subject import Subject
from perf.economy.table import lines, of_row
from tvmerge.study.samplers import SAMPLERS

MODES = ("layer", "block", "parameter", "all")


def measure(args: argparse.Namespace, subject: Subject) -> None:
    """Search what is missing in the file, and print the tables.

    Args:
        args: The options of `parser`.
        subject: What is searched.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = args.out or Path(folder) / "rows.jsonl"
        known = longest(read_rows(out))
        wanted = [one for one in _problems(args) if one not in known or known[one].budget < args.budget]
        for row in _rows(wanted, args.budget, args.jobs, subject):
            append_row(out, row)
            print(of_row(row), flush=True)
        for line in lines(longest(read_rows(out)), args.against):
            print(line)


def _problems(args: argparse.Namespace) -> list[Problem]:
    """Return all searches; the seeds come last, so that an interrupted measurement can be compared."""
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    return [
        Problem(mode, noise, sampler, seed, args.questions, args.fresh, args.block)
        for seed, mode, noise, sampler in product(seeds, args.modes, args.noise, args.samplers)
    ]


def _rows(problems: Sequence[Problem], budget: int, jobs: int, subject: Subject) -> Iterator[Row]:
    """Yield the searches as they end, from so many processes."""
    if jobs == 1:
        yield from (searched(problem, budget, subject) for problem in problems)
        return
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        found = [pool.submit(searched, problem, budget, subject) for problem in problems]
        try:
            for done in as_completed(found):
                yield done.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _noise(text: str) -> float:
    """Return the standard deviation of `none` or `sdX`."""
    if text == "none":
        return 0.0
    if not text.startswith("sd"):
        raise ValueError(text)
    return float(text.removeprefix("sd"))


def _block(text: str) -> int:
    """Return the number, or 0 for `auto`."""
    return 0 if text == "auto" else int(text)


def parser(prog: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser of the options of a measurement.

    Args:
        prog: The command.
        description: What it measures.
    """
    options = argparse.ArgumentParser(
        prog, description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    options.add_argument("--samplers", nargs="+", default=["auto", "TPE"], choices=SAMPLERS.names())
    options.add_argument("--modes", nargs="+", default=["layer"], choices=MODES)
    options.add_argument("--seeds", type=int, default=20, help="number of seeds")
    options.add_argument("--first-seed", type=int, default=0)
    options.add_argument("--budget", type=int, default=3000, help="judge calls of a search")
    options.add_argument("--noise", nargs="+", type=_noise, default=[0.0], help="none, or sd and a number")
    options.add_argument("--questions", type=int, default=120, help="questions of a search")
    options.add_argument("--fresh", type=int, default=240, help="questions of the truth")
    options.add_argument(
        "--block", type=_block, default=BLOCK, help="questions that a candidate answers at a time, or auto"
    )
    options.add_argument("--against", default="TPE", help="the sampler that the others are compared with")
    options.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    options.add_argument("--out", type=Path, help="file of the searches; default: none is kept")
    return options
