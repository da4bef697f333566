"""What is said of a trial that was told: as text, and as fields of the event log."""

from __future__ import annotations

import math
from typing import Any

from tvmerge.records import FAILURE, MEAN, Trial
from tvmerge.report.numbers import count, plus_minus, score, standard_error

_LINES = 10  # number of lines per stage in a log, besides new bests


def outcome(trial: Trial) -> str:
    """Return the result of a trial."""
    if trial.state == "FAIL":
        return "failed"
    if trial.state == "PRUNED":
        asked = count(trial.attrs["questions"], "question")
        return f"about {score(trial.value)}, stopped after {asked}"
    return plus_minus(trial.overall, standard_error(trial))


def best_score(trial: Trial) -> str:
    """Return the expected score of a trial with its standard error."""
    return plus_minus(trial.attrs.get(MEAN, trial.overall), standard_error(trial))


def trial_fields(trial: Trial) -> dict[str, Any]:
    """Return a trial as plain JSON data."""
    return {
        "kind": "trial",
        "trial": trial.number,
        "state": trial.state,
        "score": number(trial.attrs.get(MEAN, trial.overall)),
        "questions": trial.attrs.get("questions"),
        "failure": trial.attrs.get(FAILURE),
    }


def number(value: float | None) -> float | None:
    """Return a number that JSON has, or None."""
    return None if value is None or not math.isfinite(value) else value


def is_milestone(before: int, done: int, total: int) -> bool:
    """Return whether another tenth of the total has been completed."""
    return done * _LINES // max(1, total) > before * _LINES // max(1, total)
