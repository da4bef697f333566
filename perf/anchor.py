"""Compares searches that a cheap judge rates, an expensive one, and both, at equal cost.

    OMP_NUM_THREADS=1 python -m perf.anchor [--problems alike biased noisy] [--seeds 5] [--budget 100]
        [--price 0.05] [--fraction 0.1]

The scores are functions instead of models: how good 8 weights are, how easy the question is, and noise. The
expensive judge rates that. The cheap one gives 0.7 times as much plus a constant, with noise of its own; on
the problem `biased` it also prefers large weights, on `noisy` its noise is four times as large. A search
makes ratings until they have cost the budget, counted in ratings by the expensive judge:

- `cheap`: the cheap judge rates all answers, each at --price;
- `both`: it does, and the expensive judge rates a --fraction of them too (`--judge-anchor`);
- `expensive`: the expensive judge rates all answers.

It prints the truth of what each recommends: the mean over the seeds and its standard error, in points of the
expensive judge; and what weight 0 and the best weights have. Problems share their seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perf.asks import names
from tvmerge.study.blocks.sampler import BlockSampler
from tvmerge.study.blocks.search import BlockSearch
from tvmerge.study.blocks.table import Ask, Scores, Table
from tvmerge.study.space import Space
from tvmerge.study.warm_start import InitialTrials

Floats = NDArray[np.float64]

WEIGHTS, QUESTIONS, BLOCK = 8, 80, 4
BEST = 0.7 + 0.5 * np.cos(np.arange(WEIGHTS))
EASE, NOISE, CHEAP_NOISE = 1.0, 0.7, 0.5


def truth(weights: Floats) -> float:
    """Return how good weights are on an average question, at most 8 points."""
    return 8 - 5 * float(np.mean((weights - BEST) ** 2))


@dataclass(frozen=True)
class Problem:
    """How the cheap judge differs.

    Attributes:
        bias: By how many points it prefers weights that are larger by 1.
        noise: Standard deviation of its own noise, in points of the expensive judge.
    """

    bias: float = 0.0
    noise: float = CHEAP_NOISE


PROBLEMS: Mapping[str, Problem] = {
    "alike": Problem(),
    "biased": Problem(bias=6.0),
    "noisy": Problem(noise=4 * CHEAP_NOISE),
}


@dataclass(frozen=True)
class Prices:
    """What ratings cost, in ratings by the expensive judge.

    Attributes:
        cheap: Price of a rating by the cheap judge.
        fraction: The fraction of the answers that both rate, where both do.
    """

    cheap: float
    fraction: float

    def answers(self, way: str, budget: float) -> int:
        """Return how many answers a budget pays."""
        price = {"cheap": self.cheap, "both": self.cheap + self.fraction, "expensive": 1.0}[way]
        return int(budget / price + 1e-9)


def found_by(way: str, problem: Problem, prices: Prices, budget: float, seed: int) -> Floats:
    """Search, and return the recommended weights.

    Args:
        way: `cheap`, `both` or `expensive`.
        problem: How the cheap judge differs.
        prices: What ratings cost.
        budget: What all ratings may cost.
        seed: Draws the questions and the noise, and is that of the search.
    """
    space = Space(names(WEIGHTS), 0.0, 2.0)
    search = BlockSearch(space, InitialTrials((space.uniform(0), space.uniform(1))), QUESTIONS, 9.0, seed)
    sampler = BlockSampler(search, BLOCK)
    rate = _ratings(way, problem, prices.fraction, seed)
    rows: list[Floats] = []
    asks: list[Ask] = []
    for number in range(prices.answers(way, budget) // BLOCK):
        table = Table(np.array(rows).reshape(len(rows), WEIGHTS), asks, (), QUESTIONS)
        choice = sampler.ask(number, table)
        trial = next((n for n, row in enumerate(rows) if np.array_equal(row, choice.weights)), len(rows))
        if trial == len(rows):
            rows.append(choice.weights)
        scores, anchor = rate(choice.weights, range(choice.start, choice.stop))
        asks.append(Ask(number, trial, choice.start, choice.stop, scores, anchor))
    best, *_ = sampler.ranked(Table(np.array(rows), asks, (), QUESTIONS))[0]
    return rows[best]


def _ratings(
    way: str, problem: Problem, fraction: float, seed: int
) -> Callable[[Floats, range], tuple[Scores, Scores | None]]:
    """Return what rates the answers of a candidate to a block of questions."""
    rng = np.random.default_rng(seed)
    ease = EASE * rng.standard_normal(QUESTIONS)

    def rate(weights: Floats, places: range) -> tuple[Scores, Scores | None]:
        worth = truth(weights) + ease[list(places)] + NOISE * rng.standard_normal(len(places))
        liked = worth + problem.bias * (weights.mean() - 1) + problem.noise * rng.standard_normal(len(places))
        sampled = rng.random(len(places)) < fraction
        if way == "expensive":
            return tuple(worth.tolist()), None
        anchor = tuple(y if both else None for y, both in zip(worth.tolist(), sampled, strict=True))
        return tuple((1 + 0.7 * liked).tolist()), anchor if way == "both" else None

    return rate


def main(argv: Sequence[str] | None = None) -> None:
    """Search in all ways, and print what each finds."""
    parser = argparse.ArgumentParser(
        "python -m perf.anchor", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problems", nargs="+", choices=[*PROBLEMS], default=[*PROBLEMS])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budget", type=float, default=100.0)
    parser.add_argument("--price", type=float, default=0.05)
    parser.add_argument("--fraction", type=float, default=0.1)
    args = parser.parse_args(argv)
    prices = Prices(args.price, args.fraction)
    ways = ("cheap", "both", "expensive")
    print(f"weight 0: {truth(np.zeros(WEIGHTS)):.2f}, best weights: {truth(BEST):.2f}")
    print("answers: " + ", ".join(f"{way} {prices.answers(way, args.budget)}" for way in ways))
    print(f"{'problem':10} " + " ".join(f"{way:>12}" for way in ways))
    for name in args.problems:
        cells = [_cell(way, PROBLEMS[name], prices, args.budget, args.seeds) for way in ways]
        print(f"{name:10} " + " ".join(f"{cell:>12}" for cell in cells), flush=True)


def _cell(way: str, problem: Problem, prices: Prices, budget: float, seeds: int) -> str:
    """Return the mean truth over the seeds, and its standard error if there are several."""
    found = [truth(found_by(way, problem, prices, budget, seed)) for seed in range(seeds)]
    error = f" ±{np.std(found, ddof=1) / seeds**0.5:.2f}" if seeds > 1 else ""
    return f"{np.mean(found):.2f}{error}"


if __name__ == "__main__":
    main()
