"""Typed access to the keys of a line of a JSON Lines file; errors name file and line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tvmerge._util.well_formed import is_well_formed
from tvmerge.errors import AssetError
from tvmerge.records import QuestionId


@dataclass(frozen=True, slots=True)
class Row:
    """An object in a JSON Lines file, and its position.

    Attributes:
        path: The file.
        line: The line, from 1.
        data: The object.
    """

    path: Path
    line: int
    data: Mapping[str, Any]

    def error(self, message: str) -> AssetError:
        """Return an error that names the file and line of this row."""
        return AssetError(f"{self.path}:{self.line}: {message}")

    def required(self, key: str) -> Any:
        """Return the value of `key`.

        Raises:
            AssetError: The row has no such key.
        """
        if key not in self.data:
            raise self.error(f"the key '{key}' is missing")
        return self.data[key]

    def question_id(self) -> QuestionId:
        """Return the `question_id`: an integer, or a text that is not blank."""
        value = self.required("question_id")
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, str) and value.strip():
            return self.text("question_id")
        raise self.error(f"'question_id' must be a string or an integer, got {value!r}")

    def text(self, key: str) -> str:
        """Return the value of `key`, which must be a text."""
        return self.as_text(key, self.required(key))

    def as_text(self, what: str, value: Any) -> str:
        """Return `value`, which must be a text that can be encoded as UTF-8."""
        if not isinstance(value, str):
            raise self.error(f"'{what}' must be a text, got {value!r}")
        # JSON can contain half a surrogate pair, which would fail much later, when it is sent or stored.
        if not is_well_formed(value):
            raise self.error(f"'{what}' holds half a surrogate pair, which is not a valid character")
        return value

    def as_texts(self, what: str, value: Any) -> tuple[str, ...]:
        """Return `value`, which must be a list of texts."""
        if not isinstance(value, list):
            raise self.error(f"'{what}' must be a list of texts, got {value!r}")
        return tuple(self.as_text(what, item) for item in value)

    def number(self, key: str) -> float:
        """Return the value of `key`, which must be a finite number."""
        value = self.required(key)
        number = finite(value)
        if number is None:
            raise self.error(f"'{key}' must be a number, got {value!r}")
        return number

    def whole(self, key: str, *, least: int, default: int) -> int:
        """Return the integer under `key`, which must be at least `least`; `default` if it is missing."""
        value = self.data.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self.error(f"'{key}' must be an integer of at least {least}, got {value!r}")
        return value


def finite(value: Any) -> float | None:
    """Return `value` as a float if it is a finite number, else None; booleans do not count as numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
