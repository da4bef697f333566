"""Renders terminal output as plain text, for `print` and logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

_WIDTH = 110
"""Characters per line."""


def plain_text(*shown: RenderableType) -> str:
    """Return tables and lines below each other, without colours."""
    from io import StringIO

    from rich.console import Console

    text = StringIO()
    console = Console(file=text, width=_WIDTH, color_system=None)
    for part in shown:
        console.print(part, highlight=False, markup=False, soft_wrap=isinstance(part, str))
    return text.getvalue().rstrip()
