"""Parses JSON and TOML of any origin: whatever is wrong with a text is a `ValueError`."""

from __future__ import annotations

import json
import tomllib
from typing import Any

_MOST_DIGITS = 300
"""Longer whole numbers do not fit into a float. No file has them but to do harm."""


def parse_json(text: str | bytes) -> Any:
    """Return the data of a JSON text.

    Raises:
        ValueError: It is not JSON or not UTF-8, is nested too deeply or has a number of too many digits.
    """
    try:
        return json.loads(text, parse_int=_whole)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def parse_toml(text: str) -> dict[str, Any]:
    """Return the data of a TOML text.

    Raises:
        ValueError: It is not TOML, is nested too deeply or has a number of too many digits.
    """
    try:
        data = tomllib.loads(text)
        _check_numbers(data)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return data


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _check_numbers(data: Any) -> None:
    if isinstance(data, dict | list):
        for value in data.values() if isinstance(data, dict) else data:
            _check_numbers(value)
    elif isinstance(data, int) and data.bit_length() > _MOST_DIGITS * 3:
        raise ValueError(f"a number of more than {data.bit_length() * 3 // 10} digits")
