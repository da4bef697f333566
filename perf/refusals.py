"""Tests judging against a provider with random replies, through the real SDKs.

Run as `python perf/refusals.py [SEQUENCES] [SEED]`; 500 sequences take some minutes. Each is a short run of a
judge with statuses, bodies, finish reasons, headers and delays drawn from the seed, and a second run after
the provider has recovered. It fails if a run makes more calls than `--max-judge-calls`, continues beyond its
limits, loses a reply or pays for it twice, rates a reply without a rating, or raises an error that is not
meant for users.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # the campaign is part of the tests

from tests.judging.campaign import run_campaign
from tvmerge._util.assets import bundled_root
from tvmerge.judging.prompts.prompts import load_prompts

SEQUENCES, SEED = 500, 20261128


def main(sequences: int = SEQUENCES, seed: int = SEED) -> None:
    """Run the campaign and print a summary."""
    prompts = load_prompts(bundled_root() / "prompts" / "judge_prompts.jsonl")
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        kinds = asyncio.run(run_campaign(sequences, seed, prompts, Path(folder)))
    print(f"{sequences} sequences, seed {seed}, {time.perf_counter() - begun:.0f} s: all held")
    print(", ".join(f"{kind} {count}" for kind, count in kinds.most_common()))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
