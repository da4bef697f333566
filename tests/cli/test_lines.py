"""Lines of a command hold nothing that a terminal obeys."""

from __future__ import annotations

import json

import pytest

from tvmerge.cli.lines import say, say_json


def test_each_line_is_printed_without_what_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    say("judge \x1b[31mred\x1b[0m\n  reply: \u202e\x9b2J七点")
    assert capsys.readouterr().out == "judge red\n  reply: 2J七点\n"


def test_data_are_printed_with_escapes_for_what_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    data = {"text": "\x1b[31m七点\u202e\x9b2J\U000e0041\n", "rows": [1, None]}
    say_json(data)
    printed = capsys.readouterr().out
    assert json.loads(printed) == data
    assert "七点" in printed
    assert not any(character in printed for character in "\x1b\u202e\x9b\U000e0041")
