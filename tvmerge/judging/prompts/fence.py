"""Fences an answer so that it cannot close its fence or imitate the judge's rating.

This applies only to prompts with `"fence": true`, in which each answer is between two delimiter lines of the
template. Replaced text stays recognizable, so that the judge can take the attempt into account.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache

from tvmerge.judging.prompts.patterns import replaced

MARKER = "(copy of a delimiter)"
"""Replaces a delimiter that an answer copied."""

RATING_MARKER = "(copy of a rating)"
"""Replaces text that a prompt's `rating_pattern` would read as a rating."""

_OPEN, _CLOSE = r"[\[［﹇]", r"[\]］﹈]"
_RATING_LIKE = re.compile(rf"{_OPEN}\s*{_OPEN}([^\[\]［］﹇﹈]*){_CLOSE}\s*{_CLOSE}")
_TURN = "{turn}"
"""The field of a turn's number, which a delimiter may contain."""
_FIELD_LINE = re.compile(r"\{\w+\}")
_FULL_WIDTH_OFFSET = 0xFEE0


def delimiters(template: str) -> Sequence[str]:
    """Return the lines of a prompt template that enclose an answer: directly above and below its field.

    They may contain the field `{turn}`, which stands for any number.
    """
    found: dict[str, None] = {}
    lines = [line.strip() for line in template.split("\n")]
    for index, line in enumerate(lines):
        if not (line.startswith(("{answer", "{conversation")) and _FIELD_LINE.fullmatch(line)):
            continue
        for neighbour in (_nearest(lines[:index][::-1]), _nearest(lines[index + 1 :])):
            own = neighbour.replace(_TURN, "").strip()
            if own and "{" not in own:
                found[neighbour] = None
    return tuple(found)


def fenced(answer: str, fence: Sequence[str], pattern: str = "") -> str:
    """Return `answer` without copies of the delimiters `fence` and without anything that reads as a rating.

    `[[10]]` becomes `[ [10] ]`. A delimiter becomes `(copy of a delimiter)`, even if its case, spacing or
    character width differs.

    Args:
        answer: The answer.
        fence: The delimiters.
        pattern: The prompt's own regular expression for the rating, if it has one; its matches become
            `(copy of a rating)`.

    Raises:
        ConfigError: `pattern` takes too long on the answer.
    """
    for delimiter in fence:
        answer = _loosely(delimiter).sub(MARKER, answer)
    answer = _RATING_LIKE.sub(_spaced, answer)
    return replaced(pattern, RATING_MARKER, answer) if pattern else answer


def _nearest(lines: Sequence[str]) -> str:
    return next((line for line in lines if line), "")


def _spaced(match: re.Match[str]) -> str:
    inside = unicodedata.normalize("NFKC", match[1]).strip()
    steers = inside.lower() in ("a", "b", "c", "rating") or inside[:1].isnumeric()
    return f"[ [{match[1]}] ]" if steers else match[0]


@cache
def _loosely(delimiter: str) -> re.Pattern[str]:
    parts = [r"\s*".join(_variants(part)) for part in delimiter.split(_TURN)]
    return re.compile(r"\s*\d+\s*".join(parts), re.IGNORECASE)


def _variants(delimiter: str) -> Iterator[str]:
    for character in delimiter:
        if character.isspace():
            continue
        wide = chr(ord(character) + _FULL_WIDTH_OFFSET) if "!" <= character <= "~" else character
        yield f"[{re.escape(character)}{wide}]"
