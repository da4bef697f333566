"""Reads a judge's reply: a rating, a verdict on a pair, or the reason that it has neither.

Strict on purpose: a number that may not be the judge's rating is not used, since another call is cheaper than
a wrong score. The double brackets that were asked for count first (`brackets`). Only if they decide nothing
may a reply give its rating otherwise: in escaped brackets, in single brackets, or announced in its last line.
A reply that consists of a JSON object has its rating there.

Thoughts are removed before (`without_thoughts`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from tvmerge.judging.prompts.brackets import DOUBLE, LOOKALIKE, SINGLE, Brackets, Decided
from tvmerge.judging.prompts.context import Certainty
from tvmerge.judging.prompts.json_replies import ABSENT, object_alone, value_under
from tvmerge.judging.prompts.patterns import groups
from tvmerge.judging.prompts.values import (
    NO_RATING,
    RATING_WORD,
    VERDICT_WORD,
    Meaning,
    normalised,
    number_in,
    rating_in,
    verdict_in,
)

_ANNOUNCED = re.compile(
    rf"(?:.*[。.!?]\s*)?[\s*_#>「\"]*(?:{RATING_WORD})(?:\s*\([^()]*\))?[\s*_]*(?:は|[:=])([^:=]{{1,20}})",
    re.IGNORECASE,
)
_LINE: Final = 200
"""Number of characters examined at the end of the last line."""

_CLOSING: Final = ' \t*_`」"。.!です'


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A reply without a rating.

    Attributes:
        reason: Why, in a few words.
    """

    reason: str


def read_rating(text: str, low: float = 1, high: float = 10) -> float | Unreadable:
    """Return the rating in `text`, in [`low`, `high`]."""
    text = normalised(text)
    brackets = Brackets(text, RATING_WORD, partial(rating_in, low=low, high=high), (low, high))
    decided = _json_alone(text, low, high) or brackets.decided(DOUBLE)
    if decided is None or decided.certainty is Certainty.PASSING:
        stated = _otherwise(text, brackets, low, high)
        if decided is None:
            decided = stated
        elif (
            stated is not None and stated.certainty is Certainty.STATED and stated.meaning != decided.meaning
        ):
            decided = Decided(NO_RATING, Certainty.STATED, f"{decided.shown}]] or [[{stated.shown}")
    if decided is None:
        return Unreadable("no [[rating]] in the reply")
    if isinstance(decided.meaning, float):
        return decided.meaning
    return Unreadable(f"no rating from {low:g} to {high:g}: [[{decided.shown}]]")


def read_verdict(text: str) -> str | Unreadable:
    """Return the verdict in `text`: `A`, `B`, or `C` for a tie."""
    brackets = Brackets(normalised(text), VERDICT_WORD, verdict_in)
    decided = brackets.decided(DOUBLE) or brackets.decided(LOOKALIKE)
    if decided is None:
        return Unreadable("no [[A]], [[B]] or [[C]] in the reply")
    if isinstance(decided.meaning, str):
        return decided.meaning
    return Unreadable(f"no verdict A, B or C: [[{decided.shown}]]")


def read_pattern_rating(text: str, pattern: str, low: float = 1, high: float = 10) -> float | Unreadable:
    """Return the number in the last match of a prompt's own `pattern`."""
    found = pattern_matches(text, pattern)
    return found if isinstance(found, Unreadable) else on_scale(found[-1], low, high)


def pattern_matches(text: str, pattern: str) -> list[str] | Unreadable:
    """Return what a prompt's own `pattern` finds in `text`, at least once and in order."""
    try:
        found = groups(pattern, text)
    except TimeoutError:
        return Unreadable("the prompt's rating_pattern takes too long on the reply")
    return found or Unreadable("nothing in the reply matches the prompt's rating_pattern")


def read_number(text: str, low: float = 1, high: float = 10) -> float | Unreadable:
    """Return the rating if `text` consists of nothing else, as in the reply to a reminder."""
    return on_scale(text.strip(_CLOSING + "\n"), low, high)


def read_letter(text: str) -> str | Unreadable:
    """Return the verdict if `text` consists of nothing else."""
    verdict = verdict_in(normalised(text).strip(_CLOSING + "\n"))
    return verdict if isinstance(verdict, str) else Unreadable("no A, B or C")


def read_json_rating(
    text: str, low: float = 1, high: float = 10, key: str = "rating"
) -> float | Unreadable | None:
    """Return the number under `key` in the last JSON object of `text` that has this key; None without one."""
    value = value_under(text, key)
    return None if value is ABSENT else on_scale(value, low, high)


def read_json_verdict(text: str) -> str | Unreadable | None:
    """Return the letter under `verdict` in the last JSON object of `text` with this key; None without one."""
    value = value_under(text, "verdict")
    if value is ABSENT:
        return None
    return str(value) if value in ("A", "B", "C") else Unreadable(f"no verdict A, B or C: {value!r}")


def on_scale(value: object, low: float, high: float) -> float | Unreadable:
    """Return the rating that a number or text stands for, if it is in [`low`, `high`]."""
    number = _meaning(value, low, high)
    return (
        number if isinstance(number, float) else Unreadable(f"no rating from {low:g} to {high:g}: {value!r}")
    )


def _otherwise(text: str, brackets: Brackets, low: float, high: float) -> Decided | None:
    """Return the decision of a reply whose double brackets decide nothing."""
    escaped = brackets.decided(LOOKALIKE)
    if escaped is not None:
        return escaped
    single = brackets.decided(SINGLE)
    if single is not None and single.certainty is Certainty.STATED:
        return single
    return _last_line(text, low, high)


def _json_alone(text: str, low: float, high: float) -> Decided | None:
    """Return the rating in a reply that consists of a JSON object."""
    found: Mapping[str, object] = object_alone(text) or {}
    value = found.get("rating", found.get("score", ABSENT))
    return None if value is ABSENT else Decided(_meaning(value, low, high), Certainty.STATED, repr(value))


def _last_line(text: str, low: float, high: float) -> Decided | None:
    """Return the rating announced in the last line: `評価：8`, `Score: 7/10`."""
    announced = _ANNOUNCED.fullmatch(text.rstrip().rsplit("\n", 1)[-1][-_LINE:])
    if announced is None:
        return None
    number = number_in(announced[1].strip(_CLOSING), high)
    return (
        None
        if number is None
        else Decided(_meaning(number, low, high), Certainty.STATED, announced[1].strip())
    )


def _meaning(value: object, low: float, high: float) -> Meaning:
    number = number_in(value, high) if isinstance(value, str) else value
    on_scale = isinstance(number, int | float) and not isinstance(number, bool) and low <= number <= high
    return float(number) if on_scale and isinstance(number, int | float) else NO_RATING
