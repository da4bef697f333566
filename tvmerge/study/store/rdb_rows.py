"""The rows of Optuna's tables that belong to a trial."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tvmerge.study.store.base import TrialResult

_NOT_FINITE = {"INF_POS": float("inf"), "INF_NEG": float("-inf"), "NAN": float("nan")}
"""Optuna's names of numbers that databases cannot store."""


def attr_rows(trial_id: int, attrs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a trial's attributes."""
    for key, value in attrs.items():
        yield {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}


def value_rows(trial_id: int, result: TrialResult) -> Iterator[dict[str, Any]]:
    """Yield the rows of a trial's scores."""
    for objective, value in enumerate(result.values):
        yield {"trial_id": trial_id, "objective": objective, "value": value, "value_type": "FINITE"}


def step_rows(trial_id: int, steps: Mapping[int, float]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a trial's intermediate values."""
    for step, value in steps.items():
        yield {
            "trial_id": trial_id,
            "step": step,
            "intermediate_value": value,
            "intermediate_value_type": "FINITE",
        }


def number_of(value: float | None, kind: str) -> float:
    """Return the number in a row, which may be one that databases cannot store."""
    return _NOT_FINITE[kind] if value is None else value
