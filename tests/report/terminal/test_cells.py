"""Tables show texts as they are."""

from __future__ import annotations

import io

from rich.console import Console
from rich.table import Table

from tvmerge.report.terminal.cells import cell


def test_a_cell_has_no_markup_and_nothing_that_a_terminal_obeys() -> None:
    table = Table("judge")
    table.add_row(cell("[bold]gpt[/bold] \x1b[2J\u202e\x9b2J七"))
    stream = io.StringIO()
    Console(file=stream, force_terminal=False, width=60).print(table)
    assert "[bold]gpt[/bold] 2J七" in stream.getvalue()
    assert not any(character in stream.getvalue() for character in "\x1b\u202e\x9b")
