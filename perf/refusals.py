"""A campaign against a provider that answers at random, through the real SDKs.

Run as `python perf/refusals.py [SEQUENCES] [SEED]`; 500 sequences take some minutes. Each is a short run of
a judge against statuses, bodies, finish reasons, headers and delays drawn from the seed, and a second one
when the provider is well again. It ends with an error where one asks more often than `--max-judge-calls`,
continues past its patience, loses a reply or pays for one twice, rates without a rating, or raises what
is not meant for users.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # the campaign is the tests' own

from tests.judging.campaign import run_campaign
from tvmerge._util.assets import bundled_root
from tvmerge.judging.prompts.prompts import load_prompts

SEQUENCES, SEED = 500, 20261128


def main(sequences: int = SEQUENCES, seed: int = SEED) -> None:
    """Run the campaign and print what was answered."""
    prompts = load_prompts(bundled_root() / "prompts" / "judge_prompts.jsonl")
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        kinds = asyncio.run(run_campaign(sequences, seed, prompts, Path(folder)))
    print(f"{sequences} sequences, seed {seed}, {time.perf_counter() - begun:.0f} s: all held")
    print(", ".join(f"{kind} {count}" for kind, count in kinds.most_common()))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
