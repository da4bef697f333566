"""How much each weight mattered for reaching the best scores, by Optuna's PED-ANOVA.

Watanabe et al. (2023), "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces":
a weight matters that is distributed otherwise among the best tenth of the candidates than among all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from operator import is_
from typing import TYPE_CHECKING

from tvmerge.records import MEAN, Trial
from tvmerge.report.group_names import is_density

if TYPE_CHECKING:
    from optuna.study import Study

LEAST = 50
"""Number of drawn candidates with a score from which importances are computed: five in the best tenth, as the
documentation of Optuna's evaluator asks for."""


_latest: ContextVar[tuple[list[Trial], Importance] | None] = ContextVar("latest", default=None)


@dataclass(frozen=True, slots=True)
class Importance:
    """How much each weight mattered.

    Attributes:
        shares: The importance of each weight by its name, the largest first, summing to 1; empty if too few
            candidates have a score.
        candidates: Number of drawn candidates with a score. Given weights, which are the same everywhere, do
            not count.
    """

    shares: Mapping[str, float]
    candidates: int


def importance(trials: Sequence[Trial]) -> Importance:
    """Return how much each weight mattered in a search."""
    counted = [trial for trial in trials if _counts(trial)]
    known = _latest.get()
    # Several figures of a page ask for the same trials, which cannot be hashed; their weights may be many.
    if known is not None and len(known[0]) == len(counted) and all(map(is_, known[0], counted)):
        return known[1]
    found = _importance(counted)
    _latest.set((counted, found))
    return found


def _importance(trials: Sequence[Trial]) -> Importance:
    names = list(trials[0].recipe.weights) if trials else []
    if len(trials) < LEAST or len(names) < 2:
        return Importance({}, len(trials))
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    found = get_param_importances(_study(trials), evaluator=PedAnovaImportanceEvaluator())
    return Importance(found, len(trials))


def score_of(trial: Trial) -> float | None:
    """Return a candidate's score: the estimate of a search by blocks, or else its (weighted) score."""
    score = trial.attrs.get(MEAN, trial.overall)
    return float(score) if score is not None and math.isfinite(score) else None


def _counts(trial: Trial) -> bool:
    return not trial.attrs.get("fixed") and trial.state != "FAIL" and score_of(trial) is not None


def _study(trials: Sequence[Trial]) -> Study:
    """Return a study in memory with the candidates as complete trials, whose values are their scores."""
    import optuna
    from optuna.distributions import BaseDistribution, FloatDistribution
    from optuna.trial import create_trial

    names = list(trials[0].recipe.weights)
    distributions: dict[str, BaseDistribution] = {}
    # One object for all weights, since Optuna copies each distribution for every trial.
    for kind in ([n for n in names if not is_density(n)], [n for n in names if is_density(n)]):
        values = [trial.recipe.weights[name] for trial in trials for name in kind]
        if values:
            shared = FloatDistribution(min(values), max(values))
            distributions |= dict.fromkeys(kind, shared)
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(direction="maximize")
    finally:
        optuna.logging.set_verbosity(verbosity)
    study.add_trials(
        [
            create_trial(
                params=dict(trial.recipe.weights), distributions=distributions, value=score_of(trial)
            )
            for trial in trials
        ]
    )
    return study
