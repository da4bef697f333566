"""What a trial is, in a paragraph for its note in optuna-dashboard."""

from __future__ import annotations

from tvmerge.records import FAILURE, MEAN, Trial
from tvmerge.report.numbers import count, plus_minus, score
from tvmerge.study.sampler_view import ENQUEUED, INHERITED
from tvmerge.study.space import uniform_weight
from tvmerge.study.winner import Winner


def describe(trial: Trial, winner: Winner | None) -> str:
    """Return what a trial is: winner or best, where its weights are from, and its score.

    Args:
        trial: The trial.
        winner: The winner of the study's comparison; None if there was none.
    """
    return " ".join((*_place(trial, winner), _weights(trial), *_outcome(trial)))


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


def _outcome(trial: Trial) -> tuple[str, ...]:
    if trial.state == "FAIL" or FAILURE in trial.attrs:
        why = str(trial.attrs.get(FAILURE, "")).rstrip(".")
        return (f"Failed: {why}.",) if why else ("Failed.",)
    if trial.state == "PRUNED" and MEAN not in trial.attrs and trial.overall is not None:
        asked = count(trial.attrs.get("questions", 0), "question")
        return (f"Stopped by the race after {asked}, with a score of about {score(trial.overall)}.",)
    return _score(trial)


def _score(trial: Trial) -> tuple[str, ...]:
    """Return the mean and its standard error: an estimate if the trial answered some questions only."""
    if MEAN in trial.attrs:
        return (f"Estimated score {plus_minus(trial.attrs[MEAN], trial.attrs['se'])} (SE).",)
    if trial.value is None:
        return ()
    if "se" not in trial.attrs:
        return (f"Score {score(trial.overall)}.",)
    return (f"Score {plus_minus(trial.value, trial.attrs['se'])} (SE).",)
