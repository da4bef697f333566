"""Searches by blocks for the tests: a smooth truth, questions of unlike difficulty, runs that are dropped."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tvmerge._util.urls import sqlite_url
from tvmerge.records import Recipe
from tvmerge.study.blocks.sampler import BlockSampler
from tvmerge.study.blocks.search import BlockSearch
from tvmerge.study.blocks.study import BlockStudy, Told
from tvmerge.study.blocks.table import Ask
from tvmerge.study.space import Space
from tvmerge.study.storage import enter_study, open_storage
from tvmerge.study.warm_start import InitialTrials

SPACE = Space(("embeddings", "layers.0", "layers.1", "norm"), 0.0, 2.0)
QUESTIONS = 22
BLOCK = 4
ENQUEUED = (SPACE.uniform(0), SPACE.uniform(1))

Row = tuple[int, dict[str, float], tuple[float, ...], str, dict[str, object]]


def search(
    space: Space = SPACE,
    *,
    questions: int = QUESTIONS,
    initial: InitialTrials | None = None,
    seed: int = 7,
) -> BlockSearch:
    return BlockSearch(space, initial or InitialTrials(ENQUEUED), questions, 9.0, seed)


def answer(recipe: Recipe, ask: Ask) -> Told:
    """Scores with a top at 0.5, 1, 1.5, ...; one corner cannot be scored, and one question has no rating."""
    weights = list(recipe.weights.values())
    if weights[0] > 1.6:
        return Told((), {"questions": 0}, "not finite")
    truth = 8 - sum((w - 0.5 * (i + 1)) ** 2 for i, w in enumerate(weights))
    noise = random.Random(f"{weights} {ask.start}")
    scores = [truth + q % 5 * 0.4 + noise.gauss(0, 0.5) for q in range(ask.start, ask.stop)]
    return Told(tuple(None if q == 2 and noise.random() < 0.2 else s for q, s in enumerate(scores)), {})


def open_blocks(
    folder: Path,
    window: int = 1,
    found: BlockSearch | None = None,
    still_held: Callable[[], None] = lambda: None,
) -> BlockStudy:
    """The study in a file in `folder`."""
    found = found or search()
    storage = open_storage(sqlite_url(folder / "study.db"))
    study_id = enter_study(storage, "s", {"seed": found.seed}, {"mode": "layer"})
    sampler = BlockSampler(found, BLOCK)
    return BlockStudy(storage, study_id, found.space, sampler, window=window, still_held=still_held)


def drive(opened: Callable[[], BlockStudy], most: int, deaths: Sequence[int] = ()) -> BlockStudy:
    """Ask until `most` questions have been asked; each of `deaths` is a number of steps until a drop."""
    left = list(deaths)
    study, steps = opened(), 0
    while study.told < most:
        if left and steps >= left[0]:
            left.pop(0)
            study.close()
            study, steps = opened(), 0
        if study.may_ask and study.asked < most:
            study.ask()
        else:
            oldest = study.running()[0]
            study.tell(oldest, answer(study.trials[oldest.trial].recipe, oldest))
        steps += 1
    return study


def rows(study: BlockStudy) -> list[Row]:
    return [(t.number, dict(t.recipe.weights), t.values, t.state, dict(t.attrs)) for t in study.trials]


def some_ratings(m: int, d: int, q: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights, ratings and counts, half of the ratings missing."""
    rng = np.random.RandomState(seed)
    weights = rng.uniform(0, 2, (m, d))
    counts = (rng.random_sample((m, q)) < 0.5) * rng.randint(1, 4, (m, q))
    return weights, 5 + 2 * rng.standard_normal((m, q)), counts.astype(float)
