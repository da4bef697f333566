"""Cells of tables on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvmerge._util.printable import printable

if TYPE_CHECKING:
    from rich.text import Text


def cell(text: str) -> Text:
    """Return a cell that shows `text` as it is: its brackets are no markup, and a terminal obeys nothing."""
    from rich.text import Text

    return Text(printable(text))
