"""What a judge's reply says: a rating, a verdict on a pair, or why it says neither.

Strict on purpose: a rating stands in double brackets and on the scale, or it is none. Brackets and digits
of full width count after Unicode NFKC, and of several ratings the last one is the judge's, since judges
repeat the instructions and quote the answer before they rate it. Where the last one is no number on the
scale the reply is unreadable: an earlier number is a quotation, not the rating.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_BRACKETS = re.compile(r"\[\[([^\[\]]*)\]\]")
_DIGIT = re.compile(r"[0-9]")
_VERDICT = re.compile(r"\[\[\s*([ABC])\s*\]\]")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]*)?")
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A reply that holds no rating.

    Attributes:
        reason: Why, in a few words.
    """

    reason: str


def read_rating(text: str, low: float = 1, high: float = 10) -> float | Unreadable:
    """The last `[[n]]` of `text`, where `low <= n <= high`; brackets without a digit are no rating."""
    found = [inside for inside in _BRACKETS.findall(_normalised(text)) if _DIGIT.search(inside)]
    if not found:
        return Unreadable("no [[rating]] in the reply")
    number = _number(found[-1])
    if number is not None and low <= number <= high:
        return float(number)
    return Unreadable(f"no rating from {low:g} to {high:g}: [[{found[-1].strip()}]]")


def read_verdict(text: str) -> str | Unreadable:
    """The last `[[A]]`, `[[B]]` or `[[C]]` of `text`, as one letter."""
    found: list[str] = _VERDICT.findall(_normalised(text))
    return found[-1] if found else Unreadable("no [[A]], [[B]] or [[C]] in the reply")


def read_json_rating(text: str, low: float = 1, high: float = 10) -> float | Unreadable | None:
    """The number under `rating` in the last JSON object of `text` that has that key; None without one."""
    value = _last_value(text, "rating")
    if value is _ABSENT:
        return None
    number = _number(value)
    if number is not None and low <= number <= high:
        return float(number)
    return Unreadable(f"no rating from {low:g} to {high:g}: {value!r}")


def read_json_verdict(text: str) -> str | Unreadable | None:
    """The letter under `verdict` in the last JSON object of `text` that has that key; None without one."""
    value = _last_value(text, "verdict")
    if value is _ABSENT:
        return None
    return str(value) if value in ("A", "B", "C") else Unreadable(f"no verdict A, B or C: {value!r}")


def _normalised(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _last_value(text: str, key: str) -> Any:
    """The value of `key` in the last JSON object of `text` that has it, or `_ABSENT`."""
    decode: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().raw_decode
    last: Any = _ABSENT
    position = text.find("{")
    while position >= 0:
        try:
            value, end = decode(text, position)
        except (ValueError, RecursionError):
            end = position + 1
        else:
            last = value.get(key, last)
        position = text.find("{", end)
    return last


def _number(value: Any) -> float | None:
    if isinstance(value, str) and _NUMBER.fullmatch(_normalised(value).strip()):
        return float(_normalised(value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return None
