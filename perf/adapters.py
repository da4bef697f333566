"""How long candidates take as adapters in one batch of vLLM, one after the other, and merged.

Run as `python -m perf.adapters MODELS [--candidates N] [--questions N] [--rounds N]` where vLLM is installed.
MODELS has the folders `target`, `base` and `tuned`, the last a LoRA adapter. In each round all ways are timed
with new candidates, so that they share what else the machine does.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from tvmerge._util.caches import Caches
from tvmerge.engines.open import EngineSettings
from tvmerge.merging.build import open_models
from tvmerge.merging.settings import MergeConfig
from tvmerge.protocols import Engine
from tvmerge.records import Question, Recipe, Sampling
from tvmerge.testing.models import answers_of, demo_questions, stop_ids

OPTIONS = {"enforce_eager": True, "kv_cache_memory_bytes": 2**30, "max_num_seqs": 256}

Way = Callable[[Sequence[Recipe]], Awaitable[None]]


def main() -> None:
    """Measure and print the median of each way, and what the first saves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", type=Path)
    parser.add_argument("--candidates", type=int, default=8)
    parser.add_argument("--questions", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--dtype", default="float32")
    wanted = parser.parse_args()
    asyncio.run(_measure(wanted))


async def _measure(wanted: argparse.Namespace) -> None:
    target, base, tuned = (str((wanted.models / role).resolve()) for role in ("target", "base", "tuned"))
    merge = MergeConfig(target_model=(target,), base_model=base, tuned_model=tuned, optimize_mode="layer")
    with closing(Caches()) as caches:
        names = open_models(merge, caches).group_names
    merged = EngineSettings(
        merge=merge, stop_tokens=stop_ids(Path(target)), engine="vllm", dtype=wanted.dtype, options=OPTIONS
    )
    adapters: Sequence[Engine] = replace(merged, adapters=wanted.candidates).entry().call()
    alone: Engine = merged.entry().call()
    # Answers of equal length, so that the ways have the same work.
    sampling = Sampling(max_new_tokens=wanted.max_new_tokens, default_temperature=1.0, seed=1)
    questions = demo_questions(wanted.questions)
    ways: dict[str, Way] = {
        "adapters in one batch": _together(adapters, questions, sampling),
        "adapters one by one": _in_turn(adapters[0], questions, sampling),
        "merged one by one": _in_turn(alone, questions, sampling),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    lots = random.Random(7)
    try:
        for number in range(wanted.rounds + 1):
            for name, way in ways.items():
                recipes = [
                    Recipe({group: round(lots.uniform(0.1, 1.5), 3) for group in names})
                    for _ in range(wanted.candidates)
                ]
                began = time.perf_counter()
                await way(recipes)
                took = time.perf_counter() - began
                print(f"round {number}, {name}: {took:.2f} s", flush=True)
                if number:  # the first starts the engines
                    seconds[name].append(took)
    finally:
        for engine in (*adapters, alone):
            await engine.close()
    print(f"{wanted.candidates} candidates with {wanted.questions} questions each, {wanted.rounds} rounds")
    first = next(iter(ways))
    for name, found in seconds.items():
        ratios = [one / other for one, other in zip(found, seconds[first], strict=True)]
        print(
            f"{name}: {statistics.median(found):.2f} s, {statistics.median(ratios):.2f} times the first "
            f"({min(ratios):.2f} to {max(ratios):.2f})"
        )


def _together(engines: Sequence[Engine], questions: Sequence[Question], sampling: Sampling) -> Way:
    async def ask(recipes: Sequence[Recipe]) -> None:
        pairs = zip(engines, recipes, strict=True)
        await asyncio.gather(*(answers_of(engine, one, questions, sampling) for engine, one in pairs))

    return ask


def _in_turn(engine: Engine, questions: Sequence[Question], sampling: Sampling) -> Way:
    async def ask(recipes: Sequence[Recipe]) -> None:
        for recipe in recipes:
            await answers_of(engine, recipe, questions, sampling)

    return ask


if __name__ == "__main__":
    main()
