"""Parses JSON and TOML of any origin: whatever is wrong with a text is a `ValueError`."""

from __future__ import annotations

import json
import math
import tomllib
from typing import Any

_MOST_DIGITS = 300
"""Longer whole numbers do not fit into a float. No file has them but to do harm."""
_DEEPEST = 200
"""Deeper nesting would end whatever walks through the data in a `RecursionError`."""
_MOST_DOTS = 10_000
"""More of them in a key would take `tomllib`, whose time grows with their square, seconds."""


def parse_json(text: str | bytes) -> Any:
    """Return the data of a JSON text.

    Raises:
        ValueError: It is not JSON or not UTF-8, is nested too deeply or has a number of too many digits.
    """
    return _parsed(text, _LENIENT)


def parse_strict_json(text: str) -> Any:
    """Return the data of a JSON text of a stranger, which says only one thing.

    Raises:
        ValueError: As for `parse_json`, or it has a key twice or a number that is none or infinite.
    """
    return _parsed(text, _STRICT)


def _parsed(text: str | bytes, decoder: json.JSONDecoder) -> Any:
    if isinstance(text, bytes):
        text = text.decode(json.detect_encoding(text), "surrogatepass")
    elif text.startswith("\ufeff"):
        raise ValueError("begins with a byte order mark")
    try:
        data = decoder.decode(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if text.count("[") + text.count("{") > _DEEPEST:
        _check_depth(data)
    return data


def parse_toml(text: str) -> dict[str, Any]:
    """Return the data of a TOML text.

    Raises:
        ValueError: It is not TOML, is nested too deeply, or has a number of too many digits or a key of too
            many parts.
    """
    if sum(line.count(".") ** 2 for line in text.split("\n")) > _MOST_DOTS**2:
        raise ValueError("a key of too many parts")
    try:
        data = tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    _check_depth(data)
    _check_numbers(data)
    return data


def _check_depth(data: Any) -> None:
    level = [data]
    for _ in range(_DEEPEST):
        level = [
            inner
            for item in level
            if isinstance(item, dict | list) and item
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return
    raise ValueError("nested too deeply")


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:20]}, which is not a finite number")
    return number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        raise ValueError("a key twice")
    return data


def _check_numbers(data: Any) -> None:
    if isinstance(data, dict | list):
        for value in data.values() if isinstance(data, dict) else data:
            _check_numbers(value)
    elif isinstance(data, int) and data.bit_length() > _MOST_DIGITS * 3:
        raise ValueError(f"a number of more than {data.bit_length() * 3 // 10} digits")


# Making a decoder takes longer than most of the texts do.
_LENIENT = json.JSONDecoder(parse_int=_whole)
_STRICT = json.JSONDecoder(
    parse_int=_whole, object_pairs_hook=_object, parse_float=_finite, parse_constant=_finite
)
