"""Checks that the record in a `result.json` is one that a run wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tvmerge._util.typed import check_record, check_value

if TYPE_CHECKING:
    from tvmerge.report.result import RunRecord

_USAGE: Mapping[str, Any] = {
    "judge": str,
    "cost_usd": float | None,
    "latency_seconds": Mapping[str, float],
    **dict.fromkeys(("calls", "cache_hits", "failed_attempts", "input_tokens", "output_tokens"), int),
}
"""The types of a judge's usage."""

_LATENCY: Mapping[str, Any] = dict.fromkeys(("p50", "p90", "p99"), float)
"""The types of the percentiles of its calls' seconds, which are there if it was called."""

_AGREEMENT: Mapping[str, Any] = {
    "units": int,
    **dict.fromkeys(("mean_difference", "alpha", "noise"), float | None),
}
"""The types of what is said of the agreement of judges."""

_PROSPECTS: Mapping[str, Any] = {
    "answers": int,
    "stopped": bool,
    "stop_when": str | None,
    **dict.fromkeys(("gain", "regret", "regret_95"), float),
}
"""The types of what is said of a longer search."""


def check_result(record: RunRecord) -> None:
    """Check that a record has values of the right types, a best candidate, and only trials that are there.

    Raises:
        TypeError: A value has another type.
        KeyError: A value is missing.
        ValueError: It has no best candidate, or names a trial that is not there.
    """
    check_record(record)
    for row in record.usage:
        _check_keys(row, _USAGE)
        _check_keys(row["latency_seconds"] or None, _LATENCY)
    _check_keys(record.agreement, _AGREEMENT)
    _check_keys(record.prospects, _PROSPECTS)
    if not record.contenders or record.contenders[0].key != "best":
        raise ValueError("it has no best candidate")
    known = {trial.number for trial in record.trials}
    named = [*record.front, *(each.trial for each in record.contenders)]
    named += [each.trial for each in record.finalists]
    # Runs of earlier releases may have no file of trials.
    if known and (missing := [number for number in named if number is not None and number not in known]):
        raise ValueError(f"it names trial {missing[0]}, which is not among the {len(known)} trials")


def _check_keys(data: Mapping[str, Any] | None, hints: Mapping[str, Any]) -> None:
    """Check the types of plain data, if there are any; other keys may be those of another release."""
    if data is not None:
        for key, hint in hints.items():
            check_value(key, data[key], hint)
