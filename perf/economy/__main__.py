r"""Measures how many judge calls a search takes to find a merge of a given quality.

    python -m perf.economy --samplers auto TPE --modes layer --seeds 20 --budget 3000 --noise none sd1 \
        --out rows.jsonl

Each search runs on the demo's models with the parts of a run: merger, engine, judge by rules, study. Its 120
questions are drawn from the demo's generator by the seed; the settings of the search are the defaults. With
`--noise sdX`, a normal deviate with standard deviation X is added to each rating, and the result is rounded
to the scale. The candidate that is recommended at a checkpoint answers 240 fresh questions, the same for all
searches; its mean rating without noise is the truth. Only the search is measured: the comparison on held-out
questions takes as many calls with any sampler.

Each finished search is a line of --out. A search that the file has with as many calls is not repeated, so an
interrupted measurement continues, and samplers can be given different budgets one after another. The tables
show all searches in the file. Use another file after a change of tvmerge.

`python -m perf.economy.races` measures what stopping candidates early saves and costs.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from perf.economy.program import measure, parser
from perf.economy.subject import demo

TINY = ("--seeds=2", "--budget=100", "--questions=12", "--fresh=8", "--jobs=1")


def main(argv: Sequence[str] | None = None) -> None:
    """Search what is missing in the file, and print the tables."""
    options = parser("python -m perf.economy", __doc__)
    options.add_argument("--tiny", action="store_true", help="a few small searches, to try out the program")
    args = options.parse_args(argv)
    if args.tiny:
        args = options.parse_args(list(TINY), argparse.Namespace(**vars(args)))
    measure(args, demo())


if __name__ == "__main__":
    main()
