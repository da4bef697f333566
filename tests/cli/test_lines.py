"""Lines of a command hold nothing that a terminal obeys."""

from __future__ import annotations

import pytest

from tvmerge.cli.lines import say


def test_each_line_is_printed_without_what_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    say("judge \x1b[31mred\x1b[0m\n  reply: \u202e\x9b2J七点")
    assert capsys.readouterr().out == "judge red\n  reply: 2J七点\n"
