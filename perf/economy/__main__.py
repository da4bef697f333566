r"""Measures how many judge calls a search takes to find a merge of a given quality.

    python -m perf.economy --samplers auto TPE --modes layer --seeds 20 --budget 3000 --noise none sd1 \
        --out rows.jsonl

Each search runs on the demo's models with the parts of a run: merger, engine, judge by rules, study. Its 120
questions are drawn from the demo's generator by the seed; the settings of the search are the defaults. With
`--noise sdX`, a normal deviate with standard deviation X is added to each rating, and the result is rounded
to the scale. The candidate that is recommended at a checkpoint answers 240 fresh questions, the same for all
searches; its mean rating without noise is the truth. Only the search is measured: the comparison on held-out
questions takes as many calls with any sampler.

Each finished search is a line of --out. A search that the file has with as many calls is not repeated, so an
interrupted measurement continues, and samplers can be given different budgets one after another. The tables
show all searches in the file. Use another file after a change of tvmerge.

`python -m perf.economy.races` measures what stopping candidates early saves and costs.
"""

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
from perf.economy.table import lines, of_row
from tvmerge.study.samplers import SAMPLERS

MODES = ("layer", "block", "parameter", "all")
TINY = ("--seeds=2", "--budget=100", "--questions=12", "--fresh=8", "--jobs=1")


def main(argv: Sequence[str] | None = None) -> None:
    """Search what is missing in the file, and print the tables."""
    args = _parser().parse_args(argv)
    if args.tiny:
        args = _parser().parse_args(list(TINY), argparse.Namespace(**vars(args)))
    with tempfile.TemporaryDirectory() as folder:
        out = args.out or Path(folder) / "rows.jsonl"
        known = longest(read_rows(out))
        wanted = [one for one in _problems(args) if one not in known or known[one].budget < args.budget]
        for row in _rows(wanted, args.budget, args.jobs):
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


def _rows(problems: Sequence[Problem], budget: int, jobs: int) -> Iterator[Row]:
    """Yield the searches as they end, from so many processes."""
    if jobs == 1:
        yield from (searched(problem, budget) for problem in problems)
        return
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        found = [pool.submit(searched, problem, budget) for problem in problems]
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m perf.economy", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--samplers", nargs="+", default=["auto", "TPE"], choices=SAMPLERS.names())
    parser.add_argument("--modes", nargs="+", default=["layer"], choices=MODES)
    parser.add_argument("--seeds", type=int, default=20, help="number of seeds")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--budget", type=int, default=3000, help="judge calls of a search")
    parser.add_argument("--noise", nargs="+", type=_noise, default=[0.0], help="none, or sd and a number")
    parser.add_argument("--questions", type=int, default=120, help="questions of a search")
    parser.add_argument("--fresh", type=int, default=240, help="questions of the truth")
    parser.add_argument(
        "--block", type=_block, default=BLOCK, help="questions that a candidate answers at a time, or auto"
    )
    parser.add_argument("--against", default="TPE", help="the sampler that the others are compared with")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--out", type=Path, help="file of the searches; default: none is kept")
    parser.add_argument("--tiny", action="store_true", help="a few small searches, to try out the program")
    return parser


if __name__ == "__main__":
    main()
