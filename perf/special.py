"""Tries the search by blocks on problems of special kinds, without models.

    python -m perf.special [--problems plain noise ...] [--seeds 5] [--answers 480]

A score is a function of the weights, plus how easy the question is, plus noise; it is then rounded and kept
within its scale. The truth of a candidate is its mean score on questions that nobody was asked. For each
problem the program prints, as means over seeds, the truth of

- what the search by blocks recommends,
- the best of random candidates that answer all questions, with as many answers in all,
- what TPE recommends, with as many answers in all, the same uniform weights first, and no races,
- the best of the uniform weights that the search begins with (chosen by their truths);

then the gain over weight 0 that the search claims and the true one, and how often the truth of a candidate is
in the 95% interval that the search gives for it. A search that has learnt nothing should claim nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import optuna
from numpy.typing import NDArray

from perf.asks import names
from tvmerge.study.blocks.initial import LINE
from tvmerge.study.blocks.sampler import BlockSampler
from tvmerge.study.blocks.search import BlockSearch
from tvmerge.study.blocks.table import Ask, Scores, Table
from tvmerge.study.settings import UNIFORM_WEIGHTS
from tvmerge.study.space import Space
from tvmerge.study.warm_start import InitialTrials

Floats = NDArray[np.float64]

BLOCK = 4
SAMPLES = 4000
"""Questions of a truth."""


def hill(weights: Floats) -> float:
    """Return a level with a top at 0.7 in most weights; a tenth of them matter most."""
    matter = 1 / np.arange(1, len(weights) + 1)
    top = 0.7 + 0.5 * np.cos(np.arange(len(weights)))
    return 8 - 8 * float(matter @ (weights - top) ** 2) / float(matter.sum())


def border(weights: Floats) -> float:
    """Return a level with its top in a corner."""
    return 3 + 2.5 * float(np.mean(np.where(np.arange(len(weights)) % 2, weights, 2 - weights)))


def plateau(weights: Floats) -> float:
    """Return a level that is flat around 0.6 and falls outside."""
    return 7 - 4 * max(0.0, float(np.sqrt(np.mean((weights - 0.6) ** 2))) - 0.4)


def cliff(weights: Floats) -> float:
    """Return a level that grows until the model breaks."""
    size = float(np.mean(weights))
    return 4 + 3 * size if size < 1.2 else 1.0


@dataclass(frozen=True)
class Problem:
    """What is searched.

    Attributes:
        level: The score of weights on an average question, before rounding, as of 1 to 10.
        dimensions: The number of weights.
        questions: The number of questions.
        noise: Standard deviation of a score.
        ease: Standard deviation of the questions' effects.
        missing: The fraction of the scores that are missing.
        low: The lowest score.
        high: The highest.
        step: To which scores are rounded.
        deaf: The fraction of the questions that are scored at random, and of those always scored alike.
        uneven: Whether the noise of a question is from none to three times as large.
    """

    level: Callable[[Floats], float] = hill
    dimensions: int = 8
    questions: int = 40
    noise: float = 1.0
    ease: float = 1.5
    missing: float = 0.0
    low: float = 1.0
    high: float = 10.0
    step: float = 1.0
    deaf: tuple[float, float] = (0.0, 0.0)
    uneven: bool = False

    @property
    def space(self) -> Space:
        """The weights searched."""
        return Space(names(self.dimensions) if self.dimensions > 3 else ("one",), 0.0, 2.0)

    def scores(self, weights: Floats, questions: Floats, rng: np.random.Generator) -> Floats:
        """Return the scores on questions.

        Args:
            weights: The candidate, shape (d,).
            questions: By question its effect, its kind from 0 to 1 and its noise, shape (q, 3).
            rng: Draws the noise.
        """
        ease, kind, noise = questions.T
        level = self.level(weights) + ease + self.noise * noise * rng.standard_normal(len(ease))
        at_random, alike = self.deaf
        level = np.where(kind < at_random, rng.uniform(1, 10, len(ease)), level)
        level = np.where((kind >= at_random) & (kind < at_random + alike), 5.0, level)
        scaled = self.low + (level - 1) / 9 * (self.high - self.low)
        return np.clip(np.round(scaled / self.step) * self.step, self.low, self.high)

    def draw(self, rng: np.random.Generator, count: int) -> Floats:
        """Return questions."""
        noise = rng.uniform(0, 3, count) if self.uneven else np.ones(count)
        return np.column_stack([self.ease * rng.standard_normal(count), rng.random(count), noise])

    def truth(self, weights: Floats) -> float:
        """Return the mean score on questions that nobody was asked."""
        rng = np.random.default_rng(12345)
        return float(self.scores(weights, self.draw(rng, SAMPLES), rng).mean())


PROBLEMS: Mapping[str, Problem] = {
    "plain": Problem(),
    "few-questions": Problem(questions=12),
    "many-questions": Problem(questions=500),
    "one-question": Problem(questions=1),
    "one-weight": Problem(dimensions=1),
    "48-weights": Problem(dimensions=48),
    "useless-third": Problem(questions=60, deaf=(0.0, 0.33)),
    "noisy-third": Problem(questions=60, deaf=(0.33, 0.0)),
    "judge-of-noise": Problem(deaf=(1.0, 0.0)),
    "judge-of-one-score": Problem(deaf=(0.0, 1.0)),
    "no-effect": Problem(level=lambda _: 5.5),
    "plateau": Problem(level=plateau),
    "border": Problem(level=border),
    "cliff": Problem(level=cliff),
    "missing": Problem(missing=0.3),
    "noisy": Problem(noise=3.0),
    "uneven-noise": Problem(uneven=True),
    "no-noise": Problem(noise=0.0, ease=0.0, step=0.001),
    "scale-0-1": Problem(low=0.0, high=1.0, step=0.01),
    "right-or-wrong": Problem(low=0.0, high=1.0, step=1.0, noise=3.0),
    "scale-1-5": Problem(low=1.0, high=5.0),
    "scale-0-100": Problem(low=0.0, high=100.0),
    "scale-tiny": Problem(low=0.0, high=1e-6, step=1e-9),
    "scale-huge": Problem(low=0.0, high=1e9),
}


@dataclass(frozen=True)
class Found:
    """How a problem ended; all in ninths of its scale.

    Attributes:
        blocks: Truth of what the search by blocks recommends.
        random: That of the best of random candidates.
        tpe: That of what TPE recommends.
        line: That of the best uniform weights.
        claimed: The gain over weight 0 that the search by blocks claims.
        gain: The true one.
        cover: The fraction of its candidates whose truth is in the interval.
        best_covered: Whether that of the recommended is.
    """

    blocks: float
    random: float
    tpe: float
    line: float
    claimed: float
    gain: float
    cover: float
    best_covered: float


class Bench:
    """The questions of a search, and what candidates score on them; the same for the same candidate.

    Args:
        problem: The problem.
        seed: Draws the questions and the noise.
    """

    def __init__(self, problem: Problem, seed: int) -> None:
        self._problem = problem
        self._seed = seed
        self._questions = problem.draw(np.random.default_rng([seed, 1]), problem.questions)

    def answers(self, weights: Floats) -> Scores:
        """Return the scores on all questions, some of them missing."""
        rng = np.random.default_rng([self._seed, 2, *np.round(weights * 1e6).astype(int).tolist()])
        scores = self._problem.scores(weights, self._questions, rng).tolist()
        gone = rng.random(len(scores)) < self._problem.missing
        return tuple(None if lost else score for score, lost in zip(scores, gone, strict=True))

    def mean(self, weights: Floats) -> float:
        """Return the mean of the scores on all questions."""
        return float(np.mean([score for score in self.answers(weights) if score is not None]))


def by_blocks(problem: Problem, bench: Bench, seed: int, answers: int) -> tuple[BlockSampler, Table]:
    """Search until there are so many answers."""
    space, d = problem.space, problem.dimensions
    initial = InitialTrials((space.uniform(0), space.uniform(1)))
    search = BlockSearch(space, initial, problem.questions, problem.high - problem.low, seed)
    sampler = BlockSampler(search, BLOCK)
    rows: list[Floats] = []
    known: list[Ask] = []
    while sum(ask.stop - ask.start for ask in known) < answers:
        table = Table(np.array(rows).reshape(len(rows), d), tuple(known), (), problem.questions)
        choice = sampler.ask(len(known), table)
        trial = next((n for n, row in enumerate(rows) if np.array_equal(row, choice.weights)), len(rows))
        if trial == len(rows):
            rows.append(choice.weights)
        scores = bench.answers(choice.weights)[choice.start : choice.stop]
        known.append(Ask(len(known), trial, choice.start, choice.stop, scores))
    return sampler, Table(np.array(rows).reshape(len(rows), d), tuple(known), (), problem.questions)


def by_tpe(problem: Problem, bench: Bench, seed: int, trials: int) -> Floats:
    """Return what TPE recommends after so many candidates that answer all questions."""
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(multivariate=True, seed=seed)
    )
    space: dict[str, optuna.distributions.BaseDistribution] = {
        f"w{n}": optuna.distributions.FloatDistribution(0, 2) for n in range(problem.dimensions)
    }
    for weight in UNIFORM_WEIGHTS:  # as a run does
        study.enqueue_trial(dict.fromkeys(space, weight))
    for _ in range(trials):
        trial = study.ask(space)
        study.tell(trial, bench.mean(np.array([trial.params[name] for name in space])))
    return np.array([study.best_params[name] for name in space])


def solve(problem: Problem, seed: int, answers: int) -> Found:
    """Search one problem in all ways."""
    bench, d = Bench(problem, seed), problem.dimensions
    whole = max(2, answers // problem.questions)
    sampler, table = by_blocks(problem, bench, seed, answers)
    truths = [problem.truth(row) for row in table.weights]
    ranked = sampler.ranked(table)
    rng = np.random.default_rng([seed, 3])
    points = [np.zeros(d), np.ones(d), *rng.uniform(0, 2, (whole - 2, d))]
    inside = {trial: abs(truths[trial] - mean) <= 1.96 * sd for trial, mean, sd in ranked}
    best, mean, _ = ranked[0]
    zero = next(value for trial, value, _ in ranked if not table.weights[trial].any())
    low, point = problem.truth(np.zeros(d)), (problem.high - problem.low) / 9
    found = Found(
        blocks=truths[best] - problem.low,
        random=problem.truth(max(points, key=bench.mean)) - problem.low,
        tpe=problem.truth(by_tpe(problem, bench, seed, whole)) - problem.low,
        line=max(problem.truth(np.full(d, weight)) for weight in LINE) - problem.low,
        claimed=mean - zero,
        gain=truths[best] - low,
        cover=0.0,
        best_covered=0.0,
    )
    scaled = {name: value / point for name, value in vars(found).items()}
    shares = {"cover": float(np.mean(list(inside.values()))), "best_covered": float(inside[best])}
    return replace(Found(**scaled), **shares)


def line_of(name: str, found: Sequence[Found]) -> str:
    """Return a line of the table: means over seeds."""
    values = np.array([list(vars(one).values()) for one in found])
    error = values[:, 0].std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0.0
    blocks, *rest = values.mean(0).tolist()
    return f"{name:20} {blocks:7.2f} ±{error:.2f} " + " ".join(f"{value:7.2f}" for value in rest)


def main(argv: Sequence[str] | None = None) -> None:
    """Search all problems."""
    parser = argparse.ArgumentParser(
        "python -m perf.special", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problems", nargs="+", default=list(PROBLEMS), choices=PROBLEMS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--answers", type=int, default=480)
    args = parser.parse_args(argv)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    heads = ("random", "TPE", "line", "claims", "gain", "cover", "of best")
    print(f"{'problem':20} {'blocks':>13} " + " ".join(f"{head:>7}" for head in heads))
    for name in args.problems:
        found = [solve(PROBLEMS[name], seed, args.answers) for seed in range(args.seeds)]
        print(line_of(name, found), flush=True)


if __name__ == "__main__":
    main()
