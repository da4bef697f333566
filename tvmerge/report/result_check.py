"""Checks that the record in a `result.json` is one that a run wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvmerge._util.typed import check_record

if TYPE_CHECKING:
    from tvmerge.report.result import RunRecord


def check_result(record: RunRecord) -> None:
    """Check that a record has values of the right types, a best candidate, and only trials that are there.

    Raises:
        TypeError: A value has another type.
        ValueError: It has no best candidate, or names a trial that is not there.
    """
    check_record(record)
    if not record.contenders or record.contenders[0].key != "best":
        raise ValueError("it has no best candidate")
    known = {trial.number for trial in record.trials}
    named = [*record.front, *(each.trial for each in record.contenders)]
    named += [each.trial for each in record.finalists]
    # Runs of earlier releases may have no file of trials.
    if known and (missing := [number for number in named if number is not None and number not in known]):
        raise ValueError(f"it names trial {missing[0]}, which is not among the {len(known)} trials")
