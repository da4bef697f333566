"""Measures the overhead of a study: an ask and a tell in SQLite, compared with the same in memory.

Run as `python -m perf.search`; takes a few minutes. Both sides hold the same trials and draw with the same
sampler and seed; their rounds alternate, so that both meet the same noise. What is left of the difference is
the store, the view and the window. `--sampler random` shows it without the sampler's own seconds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna

from tvmerge._util.urls import sqlite_url
from tvmerge.records import Recipe
from tvmerge.study.sampler import SamplerFactory, make_sampler
from tvmerge.study.space import Space
from tvmerge.study.storage import enter_study, open_storage
from tvmerge.study.study import SearchStudy, distributions

DIMENSIONS = (12, 35, 291, 582)
TRIALS = (1, 100, 500)
ROUNDS = 7
TARGET = 0.2
"""Seconds that SQLite may add at the largest size."""


@dataclass(frozen=True)
class Case:
    """A study of a given size, and its sampler."""

    space: Space
    points: Sequence[Recipe]
    sampler: SamplerFactory

    def score(self, number: int) -> float:
        """Return a score of a trial, the same on both sides."""
        return float(np.random.default_rng(number).uniform(0, 10))


def make_case(dimensions: int, trials: int, sampler: str) -> Case:
    """Return a case with random weights in its trials."""
    space = Space(tuple(f"layers.{i}.weight" for i in range(dimensions)), 0.0, 2.0)
    drawn = np.random.default_rng(1).uniform(0, 2, (trials, dimensions))
    points = [Recipe(dict(zip(space.names, row.tolist(), strict=True))) for row in drawn]
    return Case(space, points, make_sampler(sampler, distributions(space), 1))


def in_memory(case: Case) -> optuna.Study:
    """Return the case as a plain Optuna study in memory."""
    study = optuna.create_study(direction="maximize")
    for number, point in enumerate(case.points):
        study.add_trial(
            optuna.trial.create_trial(
                params=dict(point.weights), distributions=distributions(case.space), value=case.score(number)
            )
        )
    return study


def in_sqlite(case: Case, folder: Path) -> SearchStudy:
    """Return the case as a study of tvmerge in a file, read as a resumed run reads it."""

    def opened(enqueued: Sequence[Recipe] = ()) -> SearchStudy:
        return SearchStudy(
            storage, enter_study(storage, "s", {}, {}), case.space, case.sampler, enqueued=enqueued, window=1
        )

    storage = open_storage(sqlite_url(folder / "study.db"))
    study = opened(case.points)
    for number in range(len(case.points)):
        study.ask()
        study.tell(number, case.score(number), {"n": 80})
    return opened()


def memory_round(case: Case, study: optuna.Study) -> float:
    """Return the seconds of one ask and tell in memory."""
    number = len(study.get_trials(deepcopy=False))
    study.sampler = case.sampler(number)
    begun = time.perf_counter()
    trial = study.ask(distributions(case.space))
    study.tell(trial, case.score(number))
    return time.perf_counter() - begun


def sqlite_round(case: Case, study: SearchStudy) -> float:
    """Return the seconds of one ask and tell in SQLite."""
    begun = time.perf_counter()
    trial = study.ask()
    study.tell(trial.number, case.score(trial.number), {"n": 80})
    return time.perf_counter() - begun


def measure(dimensions: int, trials: int, sampler: str) -> str:
    """Return a line of the table: median seconds of each side, of their paired difference, and of reading."""
    case = make_case(dimensions, trials, sampler)
    with tempfile.TemporaryDirectory() as folder:
        stored, plain = in_sqlite(case, Path(folder)), in_memory(case)
        pairs = [(sqlite_round(case, stored), memory_round(case, plain)) for _ in range(ROUNDS)]
    sqlite, memory = (statistics.median(side) for side in zip(*pairs, strict=True))
    added = statistics.median(one - other for one, other in pairs)
    return f"{dimensions:10} {trials:7} {sqlite:10.3f} {memory:10.3f} {added:+10.3f}"


def main() -> None:
    """Measure every size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sampler", default="TPE", choices=("TPE", "CMA-ES", "random"))
    chosen = parser.parse_args().sampler
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print(f"{chosen}, seconds per ask and tell, median of {ROUNDS} rounds; target: at most {TARGET} added")
    print(f"{'dimensions':>10} {'trials':>7} {'SQLite':>10} {'in memory':>10} {'added':>10}")
    for dimensions in DIMENSIONS:
        for trials in TRIALS:
            print(measure(dimensions, trials, chosen), flush=True)


if __name__ == "__main__":
    main()
