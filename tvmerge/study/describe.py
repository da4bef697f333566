"""What a trial is, in a paragraph for its note in optuna-dashboard."""

from __future__ import annotations

from tvmerge.records import MEAN, Trial
from tvmerge.report.numbers import plus_minus
from tvmerge.study.sampler_view import ENQUEUED, INHERITED
from tvmerge.study.space import uniform_weight
from tvmerge.study.winner import Winner


def describe(trial: Trial, winner: Winner | None) -> str:
    """Return what a trial is: winner or best, where its weights are from, and its score.

    Args:
        trial: The trial.
        winner: The winner of the study's comparison; None if there was none.
    """
    return " ".join((*_place(trial, winner), _weights(trial), *_score(trial)))


def _place(trial: Trial, winner: Winner | None) -> tuple[str, ...]:
    if winner is None:
        return ()
    wins = trial.number == winner.trial
    best = trial.number == winner.best_of_search
    return (
        *([f"The winner of the held-out comparison. {winner.sentence}"] if wins else []),
        *(["The best of the search."] if best else []),
    )


def _weights(trial: Trial) -> str:
    one = uniform_weight(trial.recipe)
    weights = "Weights" if one is None else f"Weight {one:g} for everything,"
    if trial.attrs.get(ENQUEUED):
        return f"{weights} given at the start."
    if INHERITED in trial.attrs:
        return f"{weights} of trial {trial.attrs[INHERITED]} of the study that was forked."
    return f"{weights} drawn by the sampler."


def _score(trial: Trial) -> tuple[str, ...]:
    """Return the mean and its standard error: an estimate if the trial answered some questions only."""
    if "se" not in trial.attrs:
        return ()
    estimated = MEAN in trial.attrs
    if not estimated and trial.value is None:
        return ()
    what = "Estimated score" if estimated else "Score"
    return (f"{what} {plus_minus(trial.attrs[MEAN] if estimated else trial.value, trial.attrs['se'])} (SE).",)
