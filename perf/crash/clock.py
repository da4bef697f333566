"""Runs the command line with a clock that is set back and forward.

python -m perf.crash.clock SECONDS ARGS
"""

from __future__ import annotations

import itertools
import sys
import time

EVERY = 40
"""Looks at the clock between two changes."""


def jumping(seconds: float) -> None:
    """Set this process's wall clock forward, right, back and right again, by so many seconds.

    What has bound `time.time` before keeps the right clock, so nothing of tvmerge may be imported yet.
    """
    right, looks = time.time, itertools.count()
    offsets = (0.0, seconds, 0.0, -seconds)

    def wall() -> float:
        return right() + offsets[next(looks) // EVERY % len(offsets)]

    time.time = wall


def main() -> None:
    """Run the command."""
    jumping(float(sys.argv[1]))
    sys.argv = ["tvmerge", *sys.argv[2:]]
    from tvmerge.__main__ import main as command

    command()


if __name__ == "__main__":
    main()
