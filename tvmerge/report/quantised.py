"""What the winner loses as a GGUF file, in rows and sentences that claim no more than the intervals allow."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from tvmerge._util.evidence import FEWEST_QUESTIONS
from tvmerge.records import Difference, Estimate
from tvmerge.report.language import tr
from tvmerge.report.numbers import MISSING, count, gain, interval, score, size
from tvmerge.report.result import QuantisedWinner, RunRecord


@dataclass(frozen=True, slots=True)
class QuantisedRow:
    """A row of the table of the winner's files.

    Attributes:
        name: The type of the file, or that it is the unquantised model.
        size: Its size; empty for the unquantised model.
        holdout: Its score on the held-out questions.
        lost: What is lost, with its interval.
    """

    name: str
    size: str
    holdout: Estimate | None
    lost: str


def quantised_rows(result: RunRecord) -> Iterator[QuantisedRow]:
    """Yield the rows of the table, the unquantised winner first; none without files."""
    if result.quantised:
        yield QuantisedRow(tr("not quantised"), MISSING, result.contenders[0].holdout, MISSING)
    for form in result.quantised:
        yield QuantisedRow(form.type, size(form.nbytes), form.holdout, gain(form.lost))


def quantised_lines(result: RunRecord) -> Iterator[str]:
    """Yield a sentence about each file."""
    for form in result.quantised:
        yield tr("{sentence}.", sentence=_statement(form))


def _statement(form: QuantisedWinner) -> str:
    lost = form.lost
    if lost is None or math.isnan(lost.difference):
        return tr(
            "What the winner loses as {type} is not known, since too few answers were rated",
            type=form.type,
        )
    return tr(
        _template(lost),
        type=form.type,
        change=_change(lost.difference),
        size=score(abs(lost.difference)),
        on=count(lost.n, "held-out question"),
        interval=interval(lost),
        fewest=FEWEST_QUESTIONS,
    )


def _change(lost: float) -> str:
    size = score(abs(lost))
    if size == score(0):
        return tr("the same")
    return tr("{size} lower", size=size) if lost > 0 else tr("{size} higher", size=size)


def _template(lost: Difference) -> str:
    """Return what may be said, with places for its numbers."""
    if lost.n < FEWEST_QUESTIONS:
        return (
            "As {type} the winner scores {change} on {on}: too few questions to say what is lost (fewer than "
            "{fewest})"
        )
    if math.isnan(lost.low) or math.isnan(lost.high):
        return "As {type} the winner scores {change} on {on} (no 95% interval)"
    if lost.low > 0:
        return "As {type} the winner loses {size} on {on} (95% interval {interval})"
    if lost.high < 0:
        return "As {type} the winner gains {size} on {on} (95% interval of what is lost {interval})"
    return (
        "As {type} the winner scores {change} on {on}, but the 95% interval of what is lost, {interval}, "
        "includes 0: no clear difference"
    )
