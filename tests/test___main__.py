"""The end of the command: its code, what libraries do at exit, and no time spent on taking torch apart."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tvmerge.cli.app import BAD_INPUT
from tvmerge.cli.last_resort import INTERNAL_ERROR

COMMAND = (
    "import sys\n"
    "from tvmerge.__main__ import main\n"
    "class Taken:\n"
    "    def __del__(self):\n"
    "        print('taken apart')\n"
    "taken = Taken()\n"
    "import tvmerge.cli.app as app\n"
    "def run(argv):\n"
    "    import atexit\n"
    "    atexit.register(print, 'closed')\n"
    "    {what}\n"
    "app.run = run\n"
    "main()\n"
)


def ended(what: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", COMMAND.format(what=what)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("code", [0, 2, 130])
def test_the_code_is_that_of_the_command_and_libraries_close_before_the_end(code: int) -> None:
    done = ended(f"print('result', end=''); return {code}")
    assert done.stdout == "resultclosed\n"
    assert done.stderr == ""
    assert done.returncode == code


def test_an_error_that_nobody_expected_has_its_code() -> None:
    done = ended("raise ZeroDivisionError")
    assert done.returncode == INTERNAL_ERROR
    assert done.stderr.startswith("error: this is a bug in tvmerge (ZeroDivisionError")
    assert done.stdout == "closed\n"


def test_an_interrupt_that_nobody_handled_is_no_crash() -> None:
    done = ended("raise KeyboardInterrupt")
    assert done.stderr == ""
    assert done.returncode == 130


def test_streams_that_are_closed_are_no_crash() -> None:
    close = "sys.stdout = None"
    done = ended(f"{close}; return 2")
    assert done.stderr == ""
    assert done.returncode == BAD_INPUT


def test_no_file_gets_the_number_of_a_stream_that_is_closed() -> None:
    streams = "*(os.path.realpath(f'/proc/self/fd/{n}') for n in (0, 2))"
    command = COMMAND.format(what=f"import os; print({streams}, open('/dev/zero').fileno() > 2); return 0")
    shell = ["sh", "-c", 'exec "$@" <&- 2>&-', "sh", sys.executable, "-c", command]
    done = subprocess.run(shell, stdout=subprocess.PIPE, text=True, check=False, timeout=60)
    assert done.stdout == f"{os.devnull} {os.devnull} True\nclosed\n"
    assert done.returncode == 0


def test_an_error_that_nobody_reads_keeps_its_code() -> None:
    argv = [sys.executable, "-m", "tvmerge", "no-such-command"]
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(argv, stderr=writing, check=False, timeout=60)
    finally:
        os.close(writing)
    assert done.returncode == BAD_INPUT


def test_a_reader_that_is_gone_is_no_crash() -> None:
    writer = [sys.executable, "-m", "tvmerge", "--help"]
    with subprocess.Popen(writer, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"Traceback" not in said
