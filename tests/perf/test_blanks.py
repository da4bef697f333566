"""Measuring how soon a command says something, and how long it says nothing.

No module: perf/blanks, which is no part of the package.
"""

from __future__ import annotations

import sys

import pytest

pytest.importorskip("pty", reason="pseudo-terminals exist on POSIX systems only")

from perf.blanks import Watched, main, watch


def test_the_longest_blank_is_found_with_the_line_before_it() -> None:
    output = ((0.2, b"one\r\n"), (0.5, b"\x1b[36mtwo\x1b[0m\r\n"), (3.5, b"three\r\n"))
    assert Watched(output, 4.0, 0).first == 0.2
    assert Watched(output, 4.0, 0).longest_blank == (3.0, "two")
    assert Watched(output, 9.0, 0).longest_blank == (5.5, "three")
    assert Watched((), 9.0, 0).longest_blank == (9.0, "")
    assert Watched((), 9.0, 0).first == 9.0


def test_a_command_runs_on_a_terminal_of_this_width() -> None:
    code = "import os, sys; print(sys.stderr.isatty(), os.get_terminal_size().columns); sys.exit(3)"
    found = watch([sys.executable, "-c", code], columns=40)
    assert b"".join(piece for _, piece in found.output).split() == [b"True", b"40"]
    assert found.code == 3
    assert 0 < found.first <= found.seconds


def test_a_line_is_printed_for_each_run(capfd: pytest.CaptureFixture[str]) -> None:
    main(["--runs", "2", sys.executable, "-c", "print('hello')"])
    head, *lines = capfd.readouterr().out.splitlines()
    assert head.split() == ["first", "[s]", "longest", "blank", "[s]", "whole", "[s]", "code", "after"]
    assert [line.split()[3] for line in lines] == ["0", "0"]
