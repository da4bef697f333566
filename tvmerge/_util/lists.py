"""Lists on the command line: where a comma divides, and where it is part of a value."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

Kind = Literal["plain", "paths", "expressions"]
"""What a list is of: values without commas, what may be paths, or regular expressions."""


def split(text: str, kind: Kind = "plain") -> tuple[str, ...]:
    """The values of a list that is written with commas; an empty one is left out.

    A comma that belongs to a path that is there divides nothing, nor does one within the brackets of a
    regular expression: outside of them it could fit no tensor's name.

    Args:
        text: The list.
        kind: What it is of.
    """
    pieces = list(_expressions(text)) if kind == "expressions" else text.split(",")
    values = _paths(pieces) if kind == "paths" else iter(pieces)
    return tuple(value for value in values if value.strip())


def _paths(pieces: list[str]) -> Iterator[str]:
    """The pieces, those joined again that name one path, the longest first."""
    while pieces:
        length = next((n for n in range(len(pieces), 1, -1) if _is_there(",".join(pieces[:n]))), 1)
        yield ",".join(pieces[:length])
        pieces = pieces[length:]


def _is_there(text: str) -> bool:
    """Whether a text names a file or a folder, as it is or before a weight."""
    return exists(text) or exists(text.rpartition("=")[0])


def exists(text: str) -> bool:
    """Whether a text is the path of a file or a folder."""
    try:
        return bool(text) and Path(text).expanduser().exists()
    except (OSError, RuntimeError, ValueError):  # too long, of no known user, or with a null character
        return False


def _expressions(text: str) -> Iterator[str]:
    """The regular expressions of a list, divided at commas outside of brackets."""
    start, open_brackets, in_class, escaped = 0, 0, 0, False
    for at, sign in enumerate(text):
        if escaped:
            escaped = False
        elif sign == "\\":
            escaped = True
        elif in_class:
            # The first sign of a class is part of it, even one that would end it.
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
