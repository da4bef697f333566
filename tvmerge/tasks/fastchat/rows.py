"""Typed access to the keys of one line of a JSON-lines file, with errors that name file and line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tvmerge.errors import AssetError
from tvmerge.records import QuestionId


@dataclass(frozen=True, slots=True)
class Row:
    """One object of a JSON-lines file and where it stands.

    Attributes:
        path: The file.
        line: The line, from 1.
        data: The object.
    """

    path: Path
    line: int
    data: Mapping[str, Any]

    def error(self, message: str) -> AssetError:
        """An error that says where this row stands."""
        return AssetError(f"{self.path}:{self.line}: {message}")

    def required(self, key: str) -> Any:
        """The value of `key`.

        Raises:
            AssetError: The row has no such key.
        """
        if key not in self.data:
            raise self.error(f"the key '{key}' is missing")
        return self.data[key]

    def question_id(self) -> QuestionId:
        """The `question_id`: a number without a fraction, or a text that is not blank."""
        value = self.required("question_id")
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, str) and value.strip():
            return self.text("question_id")
        raise self.error(f"'question_id' must be a string or an integer, got {value!r}")

    def text(self, key: str) -> str:
        """The value of `key`, which must be a text."""
        return self.as_text(key, self.required(key))

    def as_text(self, what: str, value: Any) -> str:
        """`value`, checked to be a text that can be written as UTF-8."""
        if not isinstance(value, str):
            raise self.error(f"'{what}' must be a text, got {value!r}")
        # JSON can spell half a surrogate pair, which would fail much later, when it is sent or stored.
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise self.error(f"'{what}' holds half a surrogate pair, which is not a valid character")
        return value

    def as_texts(self, what: str, value: Any) -> tuple[str, ...]:
        """`value`, checked to be a list of texts."""
        if not isinstance(value, list):
            raise self.error(f"'{what}' must be a list of texts, got {value!r}")
        return tuple(self.as_text(what, item) for item in value)

    def number(self, key: str) -> float:
        """The value of `key`, which must be a finite number."""
        value = self.required(key)
        number = finite(value)
        if number is None:
            raise self.error(f"'{key}' must be a number, got {value!r}")
        return number

    def whole(self, key: str, *, least: int, default: int) -> int:
        """The value of `key`, which must be a whole number from `least` on; `default` where it is absent."""
        value = self.data.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self.error(f"'{key}' must be an integer of at least {least}, got {value!r}")
        return value


def finite(value: Any) -> float | None:
    """`value` as a float where it is a finite number, else None; true and false are no numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
