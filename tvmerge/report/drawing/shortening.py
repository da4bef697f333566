"""Fits texts into the room that they have in a figure: names are shortened, sentences broken."""

from __future__ import annotations

import re

from tvmerge.report.drawing.svg import text_width

_PIECE = re.compile(r"[\u3000-\u9fff\uff00-\uffef]|[^\s\u3000-\u9fff\uff00-\uffef]+\s*|\s+")


def fitted(name: str, room: float, size: float = 12.0) -> str:
    """Return a name that takes about as much room as there is, without its middle if it is too long.

    The end of a tensor's name is more informative than its middle.

    Args:
        name: The name.
        room: The room in user units.
        size: The size of its font in user units.
    """
    if text_width(name, size) <= room:
        return name
    for kept in range(len(name) - 1, 1, -1):
        tail = (kept + 1) // 2
        short = f"{name[: kept - tail]}…{name[-tail:]}"
        if text_width(short, size) <= room:
            return short
    return name[:1] + "…"


def wrapped(text: str, room: float, size: float = 12.0) -> list[str]:
    """Return a text in lines that take about as much room as there is.

    A line ends at a space; East Asian text, which has none, may end anywhere.
    """
    lines: list[str] = []
    line = ""
    for piece in _PIECE.findall(text):
        if line and text_width(f"{line}{piece}".rstrip(), size) > room:
            lines.append(line.rstrip())
            line = ""
        line += piece
    return [*lines, line.rstrip()] if line.strip() else lines
