"""Measures what early stopping saves and costs, in searches over real merges with and without it.

    python -m perf.economy.races [--study URL] [--seeds 100] [--trials 60] [--p P] [--minimum N] [--batch N]

The merges are 100 trials of a demo run without races, with their ratings of 120 questions; the run takes some
minutes, unless --study is the database of a finished one. For each seed the questions are resampled with
replacement, and TPE searches twice, with tvmerge's races and without. A candidate is represented by the
nearest real merge not yet tried. The value of the chosen merge is its mean over all questions.

It prints the fraction of judge calls that remain with races, and the paired difference of the chosen merges'
values (with races minus without) with its lower 95% bound (one-sided, Student's t). Targets: at most half of
the calls, and the bound above -0.1 of 10 points.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import optuna
from numpy.typing import NDArray
from scipy.stats import t as student

from tests.tables import Table
from tvmerge.cli.app import run
from tvmerge.records import Question, Recipe, Sampling
from tvmerge.run.loop import Evaluator, search
from tvmerge.run.trial import SCORES, Trials
from tvmerge.scoring.objective import Objective, Part
from tvmerge.scoring.racing import RacingRules
from tvmerge.study.ranking import best_of
from tvmerge.study.sampler import make_sampler
from tvmerge.study.sampler_view import ENQUEUED
from tvmerge.study.settings import DEFAULT_RULES
from tvmerge.study.space import Space
from tvmerge.study.storage import enter_study, read_study
from tvmerge.study.study import SearchStudy, distributions

WINDOW = 2
"""Number of trials in flight, as in the demo."""


@dataclass(frozen=True)
class Merges:
    """Real merges and their scores.

    Attributes:
        space: The weights.
        weights: Shape (merges, weights).
        scores: A rating of each question, shape (merges, questions).
        enqueued: Those that a search starts with.
    """

    space: Space
    weights: NDArray[np.float64]
    scores: NDArray[np.float64]
    enqueued: tuple[Recipe, ...]

    def by_distance(self, recipe: Recipe) -> list[int]:
        """Return all merges, the ones with the most similar weights first."""
        point = np.array([recipe.weights[name] for name in self.space.names])
        found: list[int] = ((self.weights - point) ** 2).sum(axis=1).argsort(kind="stable").tolist()
        return found


@dataclass(frozen=True)
class Found:
    """The result of a search: the value of the chosen merge, and the number of judged answers."""

    worth: float
    judged: int


class Draws:
    """The ratings of a search over resampled questions.

    Args:
        merges: What can be tried, each once.
        drawn: The questions, as columns of the scores.
    """

    def __init__(self, merges: Merges, drawn: NDArray[np.int64]) -> None:
        self._merges = merges
        self._drawn = drawn
        self._taken: dict[tuple[float, ...], int] = {}

    def merge(self, recipe: Recipe) -> int:
        """Return the merge that represents a candidate: the nearest one not yet used."""
        key = tuple(recipe.weights.values())
        if key not in self._taken:
            left = (n for n in self._merges.by_distance(recipe) if n not in self._taken.values())
            self._taken[key] = next(left)
        return self._taken[key]

    def rating(self, recipe: Recipe, question: Question) -> float:
        """Return the merge's rating on the question."""
        return float(self._merges.scores[self.merge(recipe), self._drawn[int(question.question_id)]])

    def worth(self, recipe: Recipe) -> float:
        """Return the merge's mean over all real questions."""
        return float(self._merges.scores[self.merge(recipe)].mean())


@cache
def real_merges(url: str) -> Merges:
    """Return the trials of a demo study, which searches weights from 0 to 2."""
    trials = [trial for trial in read_study(url, "demo").trials if trial.scored]
    names = tuple(trials[0].recipe.weights)
    return Merges(
        space=Space(names, 0.0, 2.0),
        weights=np.array([[trial.recipe.weights[name] for name in names] for trial in trials]),
        scores=np.array([trial.attrs[SCORES] for trial in trials]),
        enqueued=tuple(trial.recipe for trial in trials if trial.attrs.get(ENQUEUED)),
    )


async def searched(merges: Merges, seed: int, trials: int, rules: RacingRules | None) -> Found:
    """Run one search over questions drawn by the seed."""
    size = merges.scores.shape[1]
    questions = [Question(number, "any", ("?",)) for number in range(size)]
    objective = Objective((Part("demo", frozenset(q.question_id for q in questions)),))
    draws = Draws(merges, np.random.default_rng(seed).integers(size, size=(size,)))
    table = Table(draws.rating)
    study = _study(merges, seed)
    judged = Trials(
        study, Evaluator(table, table, Sampling()), objective, questions, rules=rules, min_coverage=0.9
    )
    await search(study, trials, judged.evaluate, judged.outcome, lambda trial: None)
    best = best_of(study.trials)
    assert best is not None
    return Found(draws.worth(best.recipe), len(table.judged))


def _study(merges: Merges, seed: int) -> SearchStudy:
    storage = optuna.storages.InMemoryStorage()
    sampler = make_sampler("TPE", distributions(merges.space), seed)
    number = enter_study(storage, "s", {}, {})
    return SearchStudy(storage, number, merges.space, sampler, enqueued=merges.enqueued, window=WINDOW)


def both(url: str, trials: int, rules: RacingRules, seed: int) -> tuple[Found, Found]:
    """Run a search with races and one without, on the same questions and seed."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    merges = real_merges(url)
    raced, whole = (asyncio.run(searched(merges, seed, trials, how)) for how in (rules, None))
    return raced, whole


def show(pairs: Sequence[tuple[Found, Found]]) -> bool:
    """Print the results of all seeds; return whether both targets are met."""
    share = sum(raced.judged for raced, _ in pairs) / sum(whole.judged for _, whole in pairs)
    gains = np.array([raced.worth - whole.worth for raced, whole in pairs])
    error = float(gains.std(ddof=1)) / len(gains) ** 0.5
    bound = float(gains.mean()) - float(student.ppf(0.95, len(gains) - 1)) * error
    worth = [np.mean([found.worth for found in arm]) for arm in zip(*pairs, strict=True)]
    print(
        f"{len(pairs)} seeds: {share:.1%} of the judge calls; the chosen merge is worth {worth[0]:.3f} with "
        f"races and {worth[1]:.3f} without; difference {gains.mean():+.3f}, 95% bound {bound:+.3f}"
    )
    return share <= 0.5 and bound > -0.1


def main() -> None:
    """Search; the exit code is 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--study", help="storage URL of a demo study without races")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--p", type=float, default=DEFAULT_RULES.p)
    parser.add_argument("--minimum", type=int, default=DEFAULT_RULES.minimum)
    parser.add_argument("--batch", type=int, default=DEFAULT_RULES.batch)
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.study is None:
            run(["demo", f"--run-dir={folder}", "--optuna-sampler=TPE", "--n-trials=100", "--racing=off"])
        search_twice = partial(
            both,
            args.study or f"sqlite:///{folder}/study.db",
            args.trials,
            RacingRules(args.p, args.minimum, args.batch),
        )
        with ProcessPoolExecutor(args.jobs) as pool:
            pairs = list(pool.map(search_twice, range(args.seeds)))
    raise SystemExit(0 if show(pairs) else 1)


if __name__ == "__main__":
    main()
