"""Makes a text safe to print on a terminal."""

from __future__ import annotations

import json
import re

_SEQUENCE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # control sequences: colours, cursor movements
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)"  # strings for the terminal: titles, links
    r"|\x1b[ -/]*[0-~]",
    re.DOTALL,
)
_BREAK = re.compile(r"[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+")
# Control characters, those that turn the direction of what follows, those that show nothing, and halves of
# surrogate pairs. Joiners (U+200C, U+200D) are part of many scripts.
_CONTROL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\ud800-\udfff\U000e0000-\U000e007f]"
)

_ASCII = str.maketrans({"±": "+-", "…": "...", "·": ",", "–": "-", "—": "-", "×": "x"})


def printable(text: str) -> str:
    """Return `text` in one line, without anything that a terminal obeys."""
    first, *others = _BREAK.split(_SEQUENCE.sub("", text))
    parts = (first.rstrip(), *filter(None, (part.strip() for part in others))) if others else (first,)
    return _CONTROL.sub("", " ".join(parts).replace("\t", " ")).rstrip()


def escaped_json(text: str) -> str:
    """Return a JSON text with escapes for what a terminal obeys; its data and lines are the same."""
    return _CONTROL.sub(lambda found: found[0] if found[0] == "\n" else json.dumps(found[0])[1:-1], text)


def ascii_only(text: str) -> str:
    """Return `text` in ASCII, with a question mark for each character that has no counterpart."""
    return text.translate(_ASCII).encode("ascii", "replace").decode("ascii")
