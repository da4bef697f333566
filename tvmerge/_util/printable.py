"""Makes a text safe to print on a terminal."""

from __future__ import annotations

import re

_SEQUENCE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # control sequences: colours, cursor movements
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)"  # strings for the terminal: titles, links
    r"|\x1b[ -/]*[0-~]",
    re.DOTALL,
)
_BREAK = re.compile(r"\s*[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]\s*")
# Control characters, and those that turn the direction of what follows.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

_ASCII = str.maketrans({"±": "+-", "…": "...", "·": ",", "–": "-", "—": "-", "×": "x"})


def printable(text: str) -> str:
    """Return `text` in one line, without anything that a terminal obeys."""
    one_line = _BREAK.sub(" ", _SEQUENCE.sub("", text)).rstrip()
    return _CONTROL.sub("", one_line.replace("\t", " "))


def ascii_only(text: str) -> str:
    """Return `text` in ASCII, with a question mark for each character that has no counterpart."""
    return text.translate(_ASCII).encode("ascii", "replace").decode("ascii")
