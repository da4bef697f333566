"""Splits comma-separated lists on the command line, whose values may contain commas."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

Kind = Literal["plain", "paths", "expressions"]
"""What a list contains: values without commas, possible paths, or regular expressions."""


def split(text: str, kind: Kind = "plain") -> tuple[str, ...]:
    """Return the values of a comma-separated list, without empty ones.

    A comma in an existing path does not separate values, nor does one inside the brackets of a regular
    expression; outside of brackets it could not match the name of any tensor.

    Args:
        text: The list.
        kind: What it contains.
    """
    pieces = list(_expressions(text)) if kind == "expressions" else text.split(",")
    values = _paths(pieces) if kind == "paths" else iter(pieces)
    return tuple(value for value in values if value.strip())


def _paths(pieces: list[str]) -> Iterator[str]:
    """Yield the pieces, joining those that form an existing path, the longest first."""
    while pieces:
        length = next((n for n in range(len(pieces), 1, -1) if _is_there(",".join(pieces[:n]))), 1)
        yield ",".join(pieces[:length])
        pieces = pieces[length:]


def _is_there(text: str) -> bool:
    """Return whether a text is an existing path, possibly followed by a weight."""
    return exists(text) or exists(text.rpartition("=")[0])


def exists(text: str) -> bool:
    """Return whether a text is the path of a file or a folder."""
    try:
        return bool(text) and Path(text).expanduser().exists()
    except (OSError, RuntimeError, ValueError):  # too long, of an unknown user, or with a null character
        return False


def _expressions(text: str) -> Iterator[str]:
    """Yield the regular expressions of a list, split at commas outside of brackets."""
    start, open_brackets, in_class, escaped = 0, 0, 0, False
    for at, sign in enumerate(text):
        if escaped:
            escaped = False
        elif sign == "\\":
            escaped = True
        elif in_class:
            # The first character of a class is part of it, even "]".
            if sign == "]" and text[in_class:at] not in {"", "^"}:
                in_class = 0
        elif sign == "[":
            in_class = at + 1
        elif sign in "({":
            open_brackets += 1
        elif sign in ")}":
            open_brackets = max(0, open_brackets - 1)
        elif sign == "," and not open_brackets:
            yield text[start:at]
            start = at + 1
    yield text[start:]
