"""Texts for a terminal: nothing that it obeys, one line, ASCII where it shows no more."""

from __future__ import annotations

import pytest

from tvmerge._util.printable import ascii_only, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("日本語の答え ± 0.2 …", "日本語の答え ± 0.2 …"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x07", "link"),
        ("\x1b]0;no end", ""),
        ("\x1bcreset \x1b(B", "reset"),
        ("two\r\n  lines\u2028three", "two lines three"),
        ("a\tb\x07\x08\x00\x7f\x9b2J", "a b2J"),
        ("\u202eevil\u2066", "evil"),
        ("  ", ""),
    ],
)
def test_nothing_that_a_terminal_obeys_is_left(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_every_single_control_character_is_taken_out() -> None:
    controls = [*range(0x20), *range(0x7F, 0xA0)]
    assert not any(chr(code) in printable(f"a{chr(code)}b") for code in controls)


def test_ascii_has_a_counterpart_or_a_question_mark() -> None:
    assert ascii_only("9.0 ± 0.2 · 日本…") == "9.0 +- 0.2 , ??..."
