"""What a judge's reply says: a rating, a verdict on a pair, or why it says neither.

Strict on purpose: a rating stands in double brackets and on the scale, or it is none. Brackets and digits
of full width count after Unicode NFKC, and of several ratings the last one on the scale is the judge's,
since judges repeat the instructions and quote the answer before they rate it.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

_RATING = re.compile(r"\[\[\s*([0-9]+(?:\.[0-9]*)?)\s*\]\]")
_VERDICT = re.compile(r"\[\[\s*([ABC])\s*\]\]")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]*)?")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A reply that holds no rating.

    Attributes:
        reason: Why, in a few words.
    """

    reason: str


def read_rating(text: str, low: float = 1, high: float = 10) -> float | Unreadable:
    """The last `[[n]]` of `text` with `low <= n <= high`."""
    found = [float(number) for number in _RATING.findall(_normalised(text))]
    for rating in reversed(found):
        if low <= rating <= high:
            return rating
    if found:
        return Unreadable(f"no rating from {low:g} to {high:g}: [[{found[-1]:g}]]")
    return Unreadable("no [[rating]] in the reply")


def read_verdict(text: str) -> str | Unreadable:
    """The last `[[A]]`, `[[B]]` or `[[C]]` of `text`, as one letter."""
    found: list[str] = _VERDICT.findall(_normalised(text))
    return found[-1] if found else Unreadable("no [[A]], [[B]] or [[C]] in the reply")


def read_json_rating(text: str, low: float = 1, high: float = 10) -> float | Unreadable:
    """The number under `rating` in the last JSON object of `text` that has one on the scale."""
    reason = "no JSON object with a rating in the reply"
    for value in _values_of(text, "rating"):
        number = _number(value)
        if number is not None and low <= number <= high:
            return float(number)
        reason = f"no rating from {low:g} to {high:g}: {value!r}"
    return Unreadable(reason)


def read_json_verdict(text: str) -> str | Unreadable:
    """The letter under `verdict` in the last JSON object of `text` that has A, B or C there."""
    for value in _values_of(text, "verdict"):
        if value in ("A", "B", "C"):
            return str(value)
    return Unreadable("no JSON object with the verdict A, B or C in the reply")


def _normalised(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _values_of(text: str, key: str) -> Iterator[Any]:
    """Values of `key` in the JSON objects of `text`, the last object's first."""
    decode: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().raw_decode
    objects: list[dict[str, Any]] = []
    position = text.find("{")
    while position >= 0:
        try:
            value, end = decode(text, position)
        except (ValueError, RecursionError):
            end = position + 1
        else:
            objects.append(value)
        position = text.find("{", end)
    for value in reversed(objects):
        if key in value:
            yield value[key]


def _number(value: Any) -> float | None:
    if isinstance(value, str) and _NUMBER.fullmatch(_normalised(value).strip()):
        return float(_normalised(value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return None
