"""Studies for the tests: a small space, a smooth objective, and runs that are dropped on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tvmerge._util.urls import sqlite_url
from tvmerge.records import Recipe
from tvmerge.study.sampler import make_sampler
from tvmerge.study.samplers import NoSettings
from tvmerge.study.samplers.cma_es import CmaEsSettings
from tvmerge.study.samplers.gp import GpSettings
from tvmerge.study.samplers.nsga2 import NsgaSettings
from tvmerge.study.samplers.tpe import TpeSettings
from tvmerge.study.space import Space
from tvmerge.study.storage import enter_study, open_storage
from tvmerge.study.study import SearchStudy, distributions

SPACE = Space(("embeddings", "layers.0", "layers.1", "norm"), 0.0, 2.0)

Table = list[tuple[int, dict[str, float], tuple[float, ...], str]]


@dataclass(frozen=True)
class Kind:
    """A sampler to test, set so that a short study gets past its beginning."""

    name: str
    settings: Any
    trials: int
    objectives: int = 1


KINDS = {
    "TPE": Kind("TPE", TpeSettings(), 32),
    "CMA-ES": Kind("CMA-ES", CmaEsSettings(), 32),
    "GP": Kind("GP", GpSettings(n_startup_trials=5), 10),
    "random": Kind("random", NoSettings(), 12),
    "TPE of two": Kind("TPE", TpeSettings(), 20, objectives=2),
    "GP of two": Kind("GP", GpSettings(n_startup_trials=5), 8, objectives=2),
    "NSGA-II": Kind("NSGA-II", NsgaSettings(population_size=6), 32, objectives=2),
}


def score(recipe: Recipe) -> float | None:
    """A smooth objective with its top at 0.5, 1, 1.5, ...; one corner of it fails."""
    weights = list(recipe.weights.values())
    if weights[0] > 1.9:
        return None
    return 10 - sum((w - 0.5 * (i + 1)) ** 2 for i, w in enumerate(weights))


def scores(recipe: Recipe, objectives: int) -> tuple[float, ...] | None:
    """`score`, and a second objective that wants all weights small."""
    first = score(recipe)
    return None if first is None else (first, 10 - sum(recipe.weights.values()))[:objectives]


def open_study(
    folder: Path,
    kind: str = "TPE",
    window: int = 1,
    *,
    seed: int = 7,
    enqueued: Sequence[Recipe] = (SPACE.uniform(0), SPACE.uniform(1)),
    inherited: Mapping[int, Recipe] = MappingProxyType({}),
    name: str = "s",
    still_held: Callable[[], None] = lambda: None,
) -> SearchStudy:
    url = sqlite_url(folder / "deep" / "study.db")
    return open_at(
        url,
        kind,
        window,
        seed=seed,
        enqueued=enqueued,
        inherited=inherited,
        name=name,
        still_held=still_held,
    )


def open_at(
    url: str,
    kind: str = "TPE",
    window: int = 1,
    *,
    seed: int = 7,
    enqueued: Sequence[Recipe] = (SPACE.uniform(0), SPACE.uniform(1)),
    inherited: Mapping[int, Recipe] = MappingProxyType({}),
    name: str = "s",
    still_held: Callable[[], None] = lambda: None,
) -> SearchStudy:
    of = KINDS[kind]
    storage = open_storage(url)
    study_id = enter_study(storage, name, {"seed": seed}, {"mode": "layer"}, objectives=of.objectives)
    make = make_sampler(of.name, distributions(SPACE), seed, of.settings, objectives=of.objectives)
    return SearchStudy(
        storage,
        study_id,
        SPACE,
        make,
        enqueued=enqueued,
        inherited=inherited,
        window=window,
        still_held=still_held,
    )


def run(
    folder: Path,
    kind: str = "TPE",
    window: int = 1,
    n_trials: int | None = None,
    *,
    seed: int = 7,
    die_after: tuple[int, ...] = (),
) -> Table:
    """`drive` a study in a file in `folder`."""
    return drive(
        lambda: open_study(folder, kind, window, seed=seed), n_trials or KINDS[kind].trials, die_after
    )


def drive(opened: Callable[[], SearchStudy], n_trials: int, die_after: tuple[int, ...] = ()) -> Table:
    """Drive a study to its end; each entry of `die_after` is a number of steps after which it is dropped.

    A third of the trials, by number, is stopped early.
    """
    deaths = list(die_after)
    study, steps = opened(), 0
    while study.told < n_trials:
        if deaths and steps >= deaths[0]:
            deaths.pop(0)
            study, steps = opened(), 0
        if study.may_ask and study.asked < n_trials:
            study.ask()
        else:
            oldest = study.running()[0]
            found = scores(oldest.recipe, study.objectives)
            stopped = oldest.number % 3 == 2 and len(found or ()) == 1
            study.tell(oldest.number, found, {"questions": 3}, state="PRUNED" if stopped else "COMPLETE")
        steps += 1
    return table(study)


def table(study: SearchStudy) -> Table:
    return [(t.number, dict(t.recipe.weights), t.values, t.state) for t in study.trials]
