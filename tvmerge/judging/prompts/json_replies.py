"""Finds JSON in a judge's reply, which may be fenced, surrounded by text, or truncated."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

ABSENT: Final = object()
"""Stands for the value of a missing key."""

# Not strict, because models write unescaped line breaks into strings.
_DECODER = json.JSONDecoder(strict=False)
_FENCE = re.compile(r"\s*```\w*\s*(.*?)\s*```\s*", re.DOTALL)


def object_alone(text: str) -> Mapping[str, Any] | None:
    """Return the JSON object if `text` consists of one, fenced or not, else None."""
    fenced = _FENCE.fullmatch(text)
    try:
        value = _DECODER.decode(text if fenced is None else fenced[1])
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def value_under(text: str, key: str) -> Any:
    """Return the value of `key` in the last JSON object of `text` that has it, or `ABSENT`.

    If nested objects have it, the outermost counts.
    """
    last: Any = ABSENT
    for value in _objects(text):
        found = _outermost(value, key)
        last = last if found is ABSENT else found
    return last


def _objects(text: str) -> Iterator[Mapping[str, Any]]:
    decode: Callable[[str, int], tuple[Any, int]] = _DECODER.raw_decode
    position = text.find("{")
    while position >= 0:
        try:
            value, end = decode(text, position)
        except (ValueError, RecursionError):
            end = position + 1
        else:
            yield value
        position = text.find("{", end)


def _outermost(value: Any, key: str) -> Any:
    """Return the value of `key` in `value` or else in the objects it contains, level by level."""
    level = [value]
    while level:
        for item in level:
            if isinstance(item, dict) and key in item:
                return item[key]
        level = [
            inner
            for item in level
            for inner in (item.values() if isinstance(item, dict) else item)
            if isinstance(inner, dict | list)
        ]
    return ABSENT
