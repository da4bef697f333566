"""Measures whether a run stays flat under load: its memory, what storing takes, long searches, and starts.

    OMP_NUM_THREADS=1 python -m perf.load [questions] [trials] [starts] [--questions 3000] [--trials 1500]
        [--samplers TPE auto]

`questions`: a candidate, weight 0 and weight 1 answer 3,000 questions of two turns, and a judge on the
loopback network rates them, 256 at a time. Answers of 500 letters come from a scripted engine; everything
else is that of a run. Memory is the most that pages of the process's own (those of no file, in memory or
swapped out) grew, beyond what a run of few questions left. Storing is the time in which threads wrote
answers, replies, the ledger and the logs.

`trials`: a search of 1,500 trials with 8 weights and 8 questions, of a scripted engine and a scripted judge.
The gap is from the last rating of a trial until the next is merged. Then the finished study is resumed.

`starts`: every command until its first line, and `optimize` with tiny models until the first merge.

Each part runs in a process of its own. Figures are printed beside their goals.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Callable, Sequence
from typing import Any

from perf.load.questions import measure_questions
from perf.load.starts import measure_starts
from perf.load.trials import measure_trials

PARTS: dict[str, tuple[Callable[..., None], Callable[[argparse.Namespace], list[tuple[Any, ...]]]]] = {
    "questions": (measure_questions, lambda given: [(given.questions,)]),
    "trials": (measure_trials, lambda given: [(sampler, given.trials) for sampler in given.samplers]),
    "starts": (measure_starts, lambda _: [()]),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure the parts, each in a new process."""
    parser = argparse.ArgumentParser(
        "python -m perf.load", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[*PARTS])
    parser.add_argument("--questions", type=int, default=3000)
    parser.add_argument("--trials", type=int, default=1500)
    parser.add_argument("--samplers", nargs="+", default=["TPE", "auto"])
    given = parser.parse_args(argv)
    context = multiprocessing.get_context("spawn")
    for part in given.parts or PARTS:
        for settings in PARTS[part][1](given):
            process = context.Process(target=PARTS[part][0], args=settings)
            process.start()
            process.join()
            if process.exitcode:
                raise SystemExit(process.exitcode)


if __name__ == "__main__":
    main()
