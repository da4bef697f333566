"""Tables of searches: the truth after so many calls, and how many calls two samplers take to the same."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perf.economy.rows import CHECKPOINTS, Problem, Row

SHOWN = (100, 200, 300, 500, 750, 1000, 1500, 2000, 3000, 6000, 10_000)
"""The checkpoints in tables."""

RESAMPLES = 2000
"""Bootstrap samples of the seeds."""

Curves = Mapping[int, Mapping[int, float]]
"""By seed, the truths by checkpoint."""

Kind = tuple[str, float, int, int]
"""Mode, noise, and numbers of questions: what two searches have in common that can be compared."""


@dataclass(frozen=True)
class Share:
    """The fraction of a sampler's calls with which another one reaches the same truth.

    Attributes:
        at: The number of calls of the former.
        level: Its mean truth there.
        share: The fraction; infinite if the latter does not reach that truth.
        low: Lower end of the 95% interval.
        high: Its upper end.
        seeds: The number of seeds.
    """

    at: int
    level: float
    share: float
    low: float
    high: float
    seeds: int

    def __str__(self) -> str:
        ends = ", ".join("never" if math.isinf(end) else f"{end:.2f}" for end in (self.low, self.high))
        share = "never reaches it" if math.isinf(self.share) else f"{self.share:.2f} of the calls"
        return f"{self.level:.2f} at {self.at} calls: {share}, 95% interval [{ends}], {self.seeds} seeds"


def curves(rows: Mapping[Problem, Row]) -> dict[Kind, dict[str, Curves]]:
    """Return the truths by checkpoint of all searches, by what they have in common and by method."""
    found: dict[Kind, dict[str, dict[int, Mapping[int, float]]]] = {}
    for problem in sorted(rows):
        kind = (problem.mode, problem.noise, problem.questions, problem.fresh)
        found.setdefault(kind, {}).setdefault(problem.method, {})[problem.seed] = rows[problem].truths()
    return {kind: dict(samplers) for kind, samplers in found.items()}


def share_of_calls(new: Curves, old: Curves, at: int) -> Share | None:
    """Return the fraction of the calls of `old` with which `new` reaches the same mean truth.

    Between checkpoints the mean truth is interpolated along the logarithm of the calls, and a level is
    reached where it is first as high. The interval is that of a percentile bootstrap over the seeds that
    both have; each resample has a level of its own. A level that is reached before the first checkpoint
    counts as reached there, so the fraction is too high then.

    Args:
        new: The truths of one sampler.
        old: Those of the other.
        at: The number of calls of `old`, a checkpoint.

    Returns:
        None if a common seed of `old` did not get there, or there are fewer than two common seeds.
    """
    seeds = sorted(set(new) & set(old))
    if len(seeds) < 2 or not all(at in old[seed] for seed in seeds):
        return None
    grid = [c for c in CHECKPOINTS if all(c in new[seed] for seed in seeds)]
    if not grid:
        return None
    truths = np.array([[new[seed][c] for c in grid] for seed in seeds])
    levels = np.array([old[seed][at] for seed in seeds])
    rng = np.random.default_rng(0)
    draws = rng.integers(len(seeds), size=(RESAMPLES, len(seeds)))
    shares = np.array([_reach(grid, truths[draw].mean(0), float(levels[draw].mean())) / at for draw in draws])
    low, high = np.quantile(shares, [0.025, 0.975], method="nearest")
    level = float(levels.mean())
    share = _reach(grid, truths.mean(0), level) / at
    return Share(at, level, share, float(low), float(high), len(seeds))


def _reach(grid: Sequence[int], truths: NDArray[np.float64], level: float) -> float:
    """Return after how many calls a curve first reaches a level; infinity if it does not."""
    reached = np.flatnonzero(truths >= level)
    if not reached.size:
        return math.inf
    index = int(reached[0])
    if index == 0:
        return float(grid[0])
    before, after = truths[index - 1], truths[index]
    part = (level - before) / (after - before)
    return float(grid[index - 1] * (grid[index] / grid[index - 1]) ** part)


def lines(rows: Mapping[Problem, Row], against: str) -> Iterator[str]:
    """Yield the lines of all tables.

    Args:
        rows: The searches.
        against: The sampler that the others are compared with.
    """
    for kind, samplers in curves(rows).items():
        mode, noise, questions, fresh = kind
        yield (
            f"{mode}, noise {noise:g}, {questions} questions: truth on {fresh} fresh questions after so many "
            "calls, mean over seeds ± standard error"
        )
        yield from _means(samplers)
        for sampler, found in samplers.items():
            if sampler != against and against in samplers:
                shares = (share_of_calls(found, samplers[against], calls) for calls in SHOWN)
                yield from (f"{sampler} reaches the {against} mean {share}" for share in shares if share)


def _means(samplers: Mapping[str, Curves]) -> Iterator[str]:
    """Yield a table with a line for each sampler, and a column for each checkpoint that one has reached."""
    cells = {(name, calls): _cell(found, calls) for name, found in samplers.items() for calls in SHOWN}
    shown = [calls for calls in SHOWN if any(cells[name, calls] for name in samplers)]
    yield f"{'sampler':10} {'seeds':>5} " + " ".join(f"{calls:>10}" for calls in shown)
    for name, found in samplers.items():
        yield f"{name:10} {len(found):5} " + " ".join(f"{cells[name, calls]:>10}" for calls in shown)


def of_row(row: Row) -> str:
    """Return a line on one search."""
    truths = " ".join(f"{calls}: {truth:.2f}" for calls, truth in row.truths().items() if calls in SHOWN)
    seconds = ", ".join(f"{name} {value:.0f} s" for name, value in row.seconds.items())
    return f"{row.problem}: {row.calls} calls, {row.trials} candidates; {truths} ({seconds})"


def _cell(found: Curves, calls: int) -> str:
    """Return the mean over seeds, if all of them have got there, and its standard error."""
    values = [truths[calls] for truths in found.values() if calls in truths]
    if len(values) < len(found):
        return ""
    if len(values) == 1:
        return f"{values[0]:.2f}"
    error = float(np.std(values, ddof=1)) / len(values) ** 0.5
    return f"{np.mean(values):.2f} ±{error:.2f}"
