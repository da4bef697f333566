"""Measures how often the interval of a difference contains the truth with few questions.

    python -m perf.small_samples [--draws 2000] [--sizes 2,3,4,5,6,7,8,9,10,12,20,40,60]

Paired differences are drawn from kinds of ratings that judges give on a scale from 1 to 10: with noise, with
most ratings at the top, with many ties, with rare failures, skewed, by chance, and with the same difference
on every question. For each kind and number of questions it prints how often tvmerge's 95% interval contains
the true difference. Target: at least 93% with up to 10 questions, for every kind.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from tvmerge.records import Rating
from tvmerge.scoring.intervals import paired_interval

Pairs = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Two candidates' ratings of the same questions, shape (n,) each."""

Draw = Callable[[np.random.Generator, int], Pairs]
"""Draws the ratings of so many questions."""

TARGET, SMALL = 0.93, 10
_TRUTH_OF = 400_000  # questions that the true difference is taken from
_RESAMPLES = 1000


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip(np.rint(values), 1, 10)


def _noisy(gain: float, varies: float, noise: float) -> Draw:
    """Return ratings of questions of varying difficulty and gain."""

    def draw(rng: np.random.Generator, n: int) -> Pairs:
        ease, gains = rng.normal(6.5, 1.5, n), rng.normal(gain, varies, n)
        return _rounded(ease + gains + rng.normal(0, noise, n)), _rounded(ease + rng.normal(0, noise, n))

    return draw


def _at_the_top(rng: np.random.Generator, n: int) -> Pairs:
    """Return ratings of which most are 8 to 10, and some are failures; the second fails more often."""
    good, bad = rng.choice([8.0, 9.0, 9.0, 10.0], (2, n)), rng.integers(1, 5, (2, n)).astype(float)
    first, second = np.where(rng.random((2, n)) < [[0.1], [0.3]], bad, good)
    return first, second


def _ties(tied: float) -> Draw:
    """Return ratings that are mostly equal; the others differ by a few points, rather in favour of one."""

    def draw(rng: np.random.Generator, n: int) -> Pairs:
        change = rng.choice([-2.0, -1.0, 1.0, 2.0, 4.0], n, p=[0.1, 0.2, 0.4, 0.2, 0.1])
        return 5 + np.where(rng.random(n) < tied, 0.0, change), np.full(n, 5.0)

    return draw


def _failures(share: float, noise: float) -> Draw:
    """Return ratings of 8 and of 1 for answers that fail; the second never fails."""

    def draw(rng: np.random.Generator, n: int) -> Pairs:
        fails = rng.random(n) < share
        first, second = _rounded(8 + rng.normal(0, noise, (2, n)))
        return np.where(fails, 1.0, first), second

    return draw


def _skewed(rng: np.random.Generator, n: int) -> Pairs:
    return _rounded(3 + rng.exponential(1.5, n)), np.full(n, 3.0)


def _by_chance(rng: np.random.Generator, n: int) -> Pairs:
    first, second = rng.integers(1, 11, (2, n)).astype(float)
    return first, second


def _same_everywhere(rng: np.random.Generator, n: int) -> Pairs:
    second = rng.integers(1, 10, n).astype(float)
    return second + 1, second


KINDS: Mapping[str, Draw] = {
    "little noise": _noisy(0.5, 0.3, 0.5),
    "noise": _noisy(0.5, 1.0, 1.0),
    "much noise": _noisy(1.0, 1.5, 1.5),
    "most at the top": _at_the_top,
    "60% ties": _ties(0.6),
    "90% ties": _ties(0.9),
    "5% fail, else equal": _failures(0.05, 0.0),
    "20% fail, else equal": _failures(0.2, 0.0),
    "10% fail, noise": _failures(0.1, 0.7),
    "20% fail, noise": _failures(0.2, 0.7),
    "skewed": _skewed,
    "by chance": _by_chance,
    "the same everywhere": _same_everywhere,
}


def cover(kind: str, n: int, draws: int, seed: int = 0) -> float:
    """Return how often the interval of `n` questions contains the true difference."""
    draw, rng = KINDS[kind], np.random.default_rng([seed, n])
    first, second = draw(np.random.default_rng(seed), _TRUTH_OF)
    truth = float(first.mean() - second.mean())
    hits = 0
    for number in range(draws):
        a, b = (_ratings(side) for side in draw(rng, n))
        found = paired_interval(a, b, seed=number, resamples=_RESAMPLES)
        hits += found.low <= truth <= found.high
    return hits / draws


def _ratings(scores: Iterable[float]) -> list[Rating]:
    return [Rating(number, 1, float(score), "drawn", "drawn") for number, score in enumerate(scores)]


def main() -> None:
    """Measure and print; the exit code is 1 if the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--draws", type=int, default=2000, help="draws of each kind and size")
    parser.add_argument("--sizes", default="2,3,4,5,6,7,8,9,10,12,20,40,60", help="numbers of questions")
    args = parser.parse_args()
    sizes, worst = [int(size) for size in args.sizes.split(",")], 1.0
    print(f"{'questions':22}", *(f"{n:6}" for n in sizes))
    for kind in KINDS:
        found = {n: cover(kind, n, args.draws) for n in sizes}
        print(f"{kind:22}", *(f"{share:6.1%}" for share in found.values()), flush=True)
        worst = min(worst, *(share for n, share in found.items() if n <= SMALL))
    print(f"least cover with up to {SMALL} questions: {worst:.1%}")
    raise SystemExit(0 if worst >= TARGET else 1)


if __name__ == "__main__":
    main()
