"""Checks what is stored of a study: other programs may have written to its database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tvmerge._util.typed import check_record, check_value
from tvmerge.errors import StudyError
from tvmerge.records import Trial
from tvmerge.report.stored_trial import check_trial
from tvmerge.study.blocks.size import ASK_TIMES, sizes_of
from tvmerge.study.blocks.table import asks_of
from tvmerge.study.winner import latest_winner

_ATTRS: Mapping[str, Any] = {
    "tvmerge:fingerprint": Mapping[str, Any],
    "tvmerge:run": Mapping[str, Any],
    "tvmerge:origin": list[Mapping[str, Any]],
    "tvmerge:n_trials": int | None,
    "tvmerge:n_answers": int | None,
    "tvmerge:usd_per_answer": float | None,
}
"""The types of the attributes of studies that are read again."""


def check_stored(study: str, attrs: Mapping[str, Any], trials: Sequence[Trial]) -> None:
    """Check that everything that is read of a study has the type that tvmerge gave it.

    Args:
        study: Its name.
        attrs: Its attributes.
        trials: Its trials.

    Raises:
        StudyError: Something has another; the message says what.
    """
    place = "its attributes"
    try:
        for key, hint in _ATTRS.items():
            if key in attrs:
                check_value(key, attrs[key], hint)
        for size in sizes_of(attrs):
            check_record(size)
        for row in attrs.get(ASK_TIMES, ()):
            check_value(ASK_TIMES, tuple(row), tuple[int, float, int])
        _check_winner(attrs, trials)
        for number, trial in enumerate(trials):
            place = f"trial {trial.number}"
            _check_number(trial, number)
            check_trial(trial)
            for ask in asks_of(trial):
                check_record(ask)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise StudyError(
            f"study '{study}' is damaged, or another program wrote to it: in {place}, {error}; restore its "
            "database from a copy"
        ) from error


def _check_number(trial: Trial, number: int) -> None:
    if trial.number != number:
        raise ValueError(f"which should have the number {number}")


def _check_winner(attrs: Mapping[str, Any], trials: Sequence[Trial]) -> None:
    winner = latest_winner(attrs)
    if winner is None:
        return
    check_record(winner)
    for number in (winner.trial, winner.best_of_search):
        if not 0 <= number < len(trials):
            raise ValueError(f"the winner is trial {number} of {len(trials)}")
