"""Chooses the candidates of the held-out comparison from the trials of a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tvmerge.errors import StudyError
from tvmerge.records import Recipe, Trial
from tvmerge.report.result import ContenderKey, label
from tvmerge.study.ranking import ranked, ranked_with_stopped
from tvmerge.study.space import Space, uniform_weight


@dataclass(frozen=True, slots=True)
class Candidate:
    """A candidate of the held-out comparison, with its trial if the study has one.

    `sparse` is as in `Contender`.
    """

    key: ContenderKey
    recipe: Recipe
    trial: Trial | None
    sparse: str = ""

    @property
    def model(self) -> str:
        """Its name in the answer log."""
        return str(self.trial.number) if self.trial is not None else self.key

    @property
    def label(self) -> str:
        """Its display name."""
        return f"trial {self.model}" if self.key == "best" else label(self.key, self.sparse)


def choose_finalists(trials: Sequence[Trial], most: int) -> tuple[Trial, ...]:
    """Return the best trials of a search, without duplicates of the same weights.

    Raises:
        StudyError: No trial was scored.
    """
    distinct: dict[tuple[tuple[str, float], ...], Trial] = {}
    for trial in ranked(trials):
        distinct.setdefault(tuple(trial.recipe.weights.items()), trial)
    if not distinct:
        raise StudyError(f"none of the {len(trials)} trials was scored; see the run folder's model_judgment/")
    return tuple(distinct.values())[:most]


def choose_baselines(space: Space, trials: Sequence[Trial], sparse: str = "") -> tuple[Candidate, ...]:
    """Return the two baselines, and the best uniform weight if uniform weights were tried.

    A trial that a race stopped is a baseline with the estimate of its score.

    Args:
        space: The search space.
        trials: The trials of the search.
        sparse: How task vectors are made sparse at weight 1; empty if they are not.
    """
    known = ranked_with_stopped(trials)
    candidates = []
    baselines: tuple[tuple[ContenderKey, float], ...] = (("weight_0", 0.0), ("weight_1", 1.0))
    for key, weight in baselines:
        recipe = space.uniform(weight)
        trial = next((t for t in known if t.recipe == recipe), None)
        candidates.append(Candidate(key, recipe, trial, sparse))
    uniform = next((trial for trial in known if uniform_weight(trial.recipe) is not None), None)
    if uniform is not None:
        candidates.append(Candidate("uniform", uniform.recipe, uniform))
    return tuple(candidates)
