"""Measures how soon a command says something on a terminal, and how long it says nothing.

Run as `python -m perf.blanks [--runs N] [--columns N] [COMMAND ...]`; the command is `tvmerge demo` in a
fresh folder and with an empty cache unless another is given, such as `make demo VENV=/tmp/venv`. It runs on a
pseudo-terminal. For each run it prints the seconds to the first character, the longest time without any
output, the seconds until the command has ended, its exit code, and the line before that longest time.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import re
import struct
import sys
import tempfile
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_LINES = 40


@dataclass(frozen=True)
class Watched:
    """What came out of a command.

    Attributes:
        output: The pieces of output, each with the seconds after the start.
        seconds: When it had ended.
        code: Its exit code.
    """

    output: tuple[tuple[float, bytes], ...]
    seconds: float
    code: int

    @property
    def first(self) -> float:
        """Seconds to the first output; until the end without any."""
        return self.output[0][0] if self.output else self.seconds

    @property
    def longest_blank(self) -> tuple[float, str]:
        """The longest time without output, the start and the end included, and the line before it."""
        moments = [0.0, *(moment for moment, _ in self.output), self.seconds]
        gaps = [(later - earlier, place) for place, (earlier, later) in enumerate(pairwise(moments))]
        gap, place = max(gaps)
        return gap, _last_line(b"".join(piece for _, piece in self.output[:place]))


def watch(argv: Sequence[str], columns: int = 100) -> Watched:
    """Run a command on a pseudo-terminal to its end."""
    start = time.perf_counter()
    process, handle = pty.fork()
    if process == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execvp(argv[0], list(argv))
    fcntl.ioctl(handle, termios.TIOCSWINSZ, struct.pack("HHHH", _LINES, columns, 0, 0))
    output = []
    while piece := _read(handle):
        output.append((time.perf_counter() - start, piece))
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    os.close(handle)
    return Watched(tuple(output), time.perf_counter() - start, code)


def _read(handle: int) -> bytes:
    try:
        return os.read(handle, 1 << 16)
    except OSError:  # how Linux says that the other end is closed
        return b""


def _last_line(output: bytes) -> str:
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output.decode("utf-8", "replace"))
    return next((line.strip() for line in reversed(re.split(r"[\r\n]", text)) if line.strip()), "")


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and print a line for each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args(argv)
    print("first [s]  longest blank [s]  whole [s]  code  after")
    for _ in range(given.runs):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["TVMERGE_CACHE_DIR"] = f"{folder}/cache"
            demo = [sys.executable, "-m", "tvmerge", "demo", "--run-dir", f"{folder}/run"]
            found = watch(given.command or demo, given.columns)
        blank, after = found.longest_blank
        print(
            f"{found.first:9.2f}  {blank:17.2f}  {found.seconds:9.1f}  {found.code:4}  {after[:60]}",
            flush=True,
        )


if __name__ == "__main__":
    main()
