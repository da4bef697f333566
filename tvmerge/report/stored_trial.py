"""The types of trials as they are stored, in a study or a file, which others may have changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tvmerge._util.typed import check_record, check_value
from tvmerge.records.candidates import CUT_IN_THOUGHT, CUT_OFF, FAILURE, JUDGING_USD, MEAN, OVERALL, Trial

_ATTRS: Mapping[str, Any] = {
    MEAN: float | None,
    OVERALL: float | None,
    CUT_OFF: float,
    CUT_IN_THOUGHT: float,
    FAILURE: str,
    JUDGING_USD: float,
    "se": float | None,
    "n": int,
    "questions": int,
    "parts": Mapping[str, float | None],
    "scores": list[float | None],
    "inherited": int,
}
"""The types of the attributes of trials that are read again."""


def check_trial(trial: Trial) -> None:
    """Check that everything in a stored trial has the type that tvmerge gave it.

    Raises:
        TypeError: Something has another; the message says what.
    """
    check_record(trial)
    check_value("weights", trial.recipe.weights, Mapping[str, float])
    for key, hint in _ATTRS.items():
        if key in trial.attrs:
            check_value(key, trial.attrs[key], hint)
