r"""Measures what two signals that need no judge are worth to a search by blocks.

    python -m perf.signals learnt --seeds 6
    python -m perf.signals ranks --seeds 4
    python -m perf.signals searches --seeds 10 --budget 400 --out rows.jsonl

The demo's models, judge by rules and questions are those of `python -m perf.economy`, and so is the truth.

learnt: weights learnt by gradient on 16 prompts outside the search's and 16 texts of the target (see
`perf.signals.learnt`), and the truth of their merge, beside that of uniform weights. With --hard only the
texts' tokens are learnt, as models of different vocabularies would need; with --continued the target's texts
continue the prompts.
ranks: Spearman's correlation of the truth of a search's candidates with the likelihood of the best answers of
its first 14, 20 and 40 asks, of all candidates and of the better half.
searches: the truth of what is recommended with `auto` alone (plain), with the learnt weights as one more
enqueued candidate (learnt), and with the likelihood of the best answers of the first asks (14, those of the
uniform weights, or --first) as a second output of the model (likelihood). The same seed has the same
questions, so differences are paired. Each finished search is a line of --out, and is not repeated.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import numpy as np
import torch
from scipy.stats import t as student

from perf.economy.rows import Problem
from perf.economy.searches import open_run, truth
from perf.economy.subject import demo
from perf.signals.learnt import learnt_weights, lessons
from perf.signals.searches import Search, rank_correlations
from tvmerge._util.caches import Caches
from tvmerge._util.files import append_text, jsonl_line
from tvmerge.records import Recipe
from tvmerge.run.build import Run

CHECKPOINTS = (125, 150, 200, 300, 400)
ARMS = ("plain", "learnt", "likelihood")
UNIFORM = (0.5, 0.75, 1.0)
PROMPTS_SEED = 50_000
"""Seed of the prompts of seed 0; questions of searches and of the truth have others."""


async def learnt(args: argparse.Namespace) -> None:
    """Print the truths of learnt weights and of uniform ones."""
    found = []
    async for problem, run in _runs(args):
        if problem.seed == args.first_seed:
            for weight in UNIFORM:
                value = await truth(run, problem, demo(), run.space.uniform(weight))
                print(f"uniform {weight:g}: {value:.2f}", flush=True)
        recipe = _learnt(run, problem.seed, args)
        found.append(await truth(run, problem, demo(), recipe))
        weights = ", ".join(f"{name} {weight:.2f}" for name, weight in recipe.weights.items())
        print(f"learnt, seed {problem.seed}: {found[-1]:.2f} ({weights})", flush=True)
    print(f"learnt: {_mean(found)}")


async def ranks(args: argparse.Namespace) -> None:
    """Print the correlations of likelihoods with truths."""
    found: dict[int, list[tuple[float, float]]] = {}
    async for problem, run in _runs(args):
        for asks, pair in (await rank_correlations(run, problem, demo(), args.budget)).items():
            found.setdefault(asks, []).append(pair)
            print(f"seed {problem.seed}, {asks} asks: {pair[0]:.2f}, better half {pair[1]:.2f}", flush=True)
    for asks, pairs in found.items():
        every, better = zip(*pairs, strict=True)
        print(f"{asks} asks: {_mean(every)}, better half {_mean(better)}")


async def searches(args: argparse.Namespace) -> None:
    """Search what is missing in the file, and print means and paired differences."""
    rows = _read(args.out)
    done = {(row["mode"], row["noise"], row["seed"], row["arm"], row["budget"]) for row in rows}
    async for problem, run in _runs(args):
        for name in args.arms:
            arm = name if name != "likelihood" else f"likelihood/{args.first}"
            if (problem.mode, problem.noise, problem.seed, arm, args.budget) in done:
                continue
            begin = args.first if arm.startswith("likelihood") else None
            first = [_learnt(run, problem.seed, args)] if arm == "learnt" else []
            search = Search(run, problem, begin, first)
            found = await search.until(args.budget)
            shown = [calls for calls in CHECKPOINTS if found.recommended[0][0] <= calls <= args.budget]
            truths = {
                str(calls): await truth(run, problem, demo(), search.recipe(found.at(calls)))
                for calls in shown
            }
            rows.append({"mode": problem.mode, "noise": problem.noise, "seed": problem.seed, "arm": arm})
            rows[-1] |= {"budget": args.budget, "truths": truths, "rhos": search.rhos}
            print(json.dumps(rows[-1]), flush=True)
            if args.out is not None:
                append_text(args.out, jsonl_line(rows[-1]))
    wanted = {"mode": args.mode, "noise": args.noise, "budget": args.budget}
    for line in lines([row for row in rows if wanted.items() <= row.items()]):
        print(line)


def lines(rows: Sequence[dict[str, object]]) -> Iterator[str]:
    """Yield the mean truth of each arm, and its paired difference from the first arm with a 95% interval."""
    truths: dict[str, dict[object, dict[str, float]]] = {}
    for row in rows:
        assert isinstance(row["truths"], dict)
        truths.setdefault(str(row["arm"]), {})[row["seed"]] = row["truths"]
    base = truths.get(ARMS[0], {})
    for arm, by_seed in truths.items():
        for calls in next(iter(by_seed.values())):
            values = [found[calls] for found in by_seed.values()]
            line = f"{arm} at {calls} calls: {_mean(values)}, {len(values)} seeds"
            both = [by_seed[seed][calls] - base[seed][calls] for seed in by_seed if seed in base]
            if arm != ARMS[0] and len(both) > 1:
                half = student.ppf(0.975, len(both) - 1) * np.std(both, ddof=1) / len(both) ** 0.5
                middle = np.mean(both)
                line += f"; gain {middle:+.2f} [{middle - half:+.2f}, {middle + half:+.2f}]"
            yield line


async def _runs(args: argparse.Namespace) -> AsyncIterator[tuple[Problem, Run]]:
    """Yield a run for each seed."""
    torch.set_num_threads(1)
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        problem = Problem(args.mode, args.noise, "auto", seed, args.questions, args.fresh)
        async with _opened(problem, args.budget) as run:
            yield problem, run


@asynccontextmanager
async def _opened(problem: Problem, budget: int) -> AsyncIterator[Run]:
    with tempfile.TemporaryDirectory() as name, closing(Caches(Path(name) / "cache")) as caches:
        run = open_run(problem, budget, demo(), Path(name), caches)
        try:
            yield run
        finally:
            await run.close()


def _learnt(run: Run, seed: int, args: argparse.Namespace) -> Recipe:
    """Return the weights learnt from prompts of this seed."""
    questions = list(demo().questions(args.prompts, PROMPTS_SEED + seed))
    how = {"soft": not args.hard, "continued": args.continued}
    return learnt_weights(run.models, lessons(run.models, run.chat, run.stops.ids[0], questions, seed, **how))


def _read(path: Path | None) -> list[dict[str, object]]:
    if path is None or not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _mean(values: Sequence[float]) -> str:
    error = np.std(values, ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return f"{np.mean(values):.2f} ± {error:.2f}"


def main(argv: Sequence[str] | None = None) -> None:
    """Measure one of the three."""
    measures = {one.__name__: one for one in (learnt, ranks, searches)}
    parser = argparse.ArgumentParser(
        "python -m perf.signals", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("measure", choices=measures)
    parser.add_argument("--mode", default="layer", help="as --optimize-mode")
    parser.add_argument("--arms", nargs="+", default=ARMS, choices=ARMS)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--budget", type=int, default=400, help="judge calls of a search")
    parser.add_argument("--noise", type=float, default=0.0, help="standard deviation added to ratings")
    parser.add_argument(
        "--first", type=int, default=14, help="asks whose best answers' likelihood is the second output"
    )
    parser.add_argument("--prompts", type=int, default=16, help="prompts of the learnt weights")
    parser.add_argument("--hard", action="store_true", help="learn tokens, not probabilities")
    parser.add_argument("--continued", action="store_true", help="let the target continue the prompts")
    parser.add_argument("--questions", type=int, default=120, help="questions of a search")
    parser.add_argument("--fresh", type=int, default=240, help="questions of the truth")
    parser.add_argument("--out", type=Path, help="file of the searches; default: none is kept")
    args = parser.parse_args(argv)
    asyncio.run(measures[args.measure](args))


if __name__ == "__main__":
    main()
