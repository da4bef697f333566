"""Measures how well merging, generation and judging overlap.

    python -m perf.pipeline [--trials 24] [--latency 2.0] [--concurrency 16] [--trace FILE]

It uses the demo's models, a loopback judge with log-normal latency (median as given, sigma 0.5) and four
trials in flight. There are two runs, one where judging takes longer and one where generation does (eight
times the concurrency, longer answers). Each prints the wall-clock time relative to the larger of generation
alone and judging alone at that concurrency, the engine's idle fraction, how long the judge continued after
the last answer (which is unavoidable), and the time that running one after the other would take.

Targets: wall-clock time at most 1.08 of the larger; engine idle below 8% if generation is the larger.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from tests.servers.openai_server import OpenAIServer
from tvmerge._util.assets import bundled_demo_models
from tvmerge._util.trace import ENGINE, Trace
from tvmerge.engines.pool import EnginePool
from tvmerge.engines.prompting.chat_format import ChatFormat
from tvmerge.engines.transformers.engine import TransformersEngine
from tvmerge.merging.checkpoints.eos import read_eos
from tvmerge.merging.live import load_into
from tvmerge.merging.open import Merge, open_merge
from tvmerge.protocols import Engine
from tvmerge.records import Answer, Judgment, Question, Rating, Recipe, Sampling
from tvmerge.run.loop import Evaluator
from tvmerge.tasks.fastchat.benchmark import load_benchmark

BENCHMARK = Path(__file__).resolve().parents[1] / "benchmarks" / "demo"
IN_FLIGHT = 4
SIGMA = 0.5


class SlowServer(OpenAIServer):
    """A judge with a latency, which it sums up."""

    def __init__(self, latency: float) -> None:
        super().__init__(gate=self._wait)
        self._latency = latency
        self._random = random.Random(0)
        self.seconds = 0.0

    async def _wait(self, request: object) -> None:
        seconds = self._latency * self._random.lognormvariate(0, SIGMA)
        self.seconds += seconds
        await asyncio.sleep(seconds)


class HttpJudge:
    """Asks the server, one request per turn, at most `concurrency` at once."""

    name = "loopback"

    def __init__(self, url: str, concurrency: int) -> None:
        import openai

        self.fingerprint: dict[str, object] = {}
        self._client = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
        self._slots = asyncio.Semaphore(concurrency)

    async def judge(self, question: Question, answer: Answer) -> Sequence[Judgment]:
        """Rate each turn."""
        return await asyncio.gather(
            *(self._rate(question, turn, text) for turn, text in enumerate(answer.turns, start=1))
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _rate(self, question: Question, turn: int, text: str) -> Rating:
        async with self._slots:
            await self._client.chat.completions.create(
                model="judge", messages=[{"role": "user", "content": f"Rate: {text}"}]
            )
        return Rating(question.question_id, turn, 5.0, self.name, "none")


@dataclass(frozen=True)
class Setting:
    """The settings of a run; questions, tokens and latency decide which side takes longer."""

    name: str
    questions: int
    new_tokens: int
    latency: float
    concurrency: int


def make_pool(merge: Merge, trace: Trace) -> EnginePool:
    """Return a pool of one engine in this process."""
    folder = merge.target.folder
    chat, stops = ChatFormat(folder), read_eos(folder).generation or ()

    async def start() -> Engine:
        return TransformersEngine(folder, chat, merge.merger, load_into, stop_tokens=stops, batch_tokens=4096)

    return EnginePool({"cpu": start}, trace=trace)


async def run(setting: Setting, merge: Merge, trials: int, trace: Trace) -> dict[str, float]:
    """Return the seconds of the run, and of generation and judging alone."""
    questions = load_benchmark(BENCHMARK).questions[: setting.questions]
    sampling = Sampling(max_new_tokens=setting.new_tokens, default_temperature=1.5)
    recipes = [Recipe(dict.fromkeys(merge.group_names, 0.1 * n)) for n in range(trials)]
    pool = make_pool(merge, trace)
    async for _ in pool.answer(recipes[0], questions[:2], sampling):
        pass
    trace.spans.clear()
    with SlowServer(setting.latency) as server:
        judge = HttpJudge(server.base_url, setting.concurrency)
        evaluator = Evaluator(pool, judge, sampling, trace=trace)
        flights = asyncio.Semaphore(IN_FLIGHT)

        async def trial(recipe: Recipe) -> None:
            async with flights:
                await evaluator.evaluate(recipe, questions)

        started = time.perf_counter()
        await asyncio.gather(*(trial(recipe) for recipe in recipes))
        wall = time.perf_counter() - started
        await judge.close()
    await pool.close()
    working = [s for s in trace.spans if s.track.startswith(ENGINE)]
    return {
        "wall": wall,
        "generation": sum(s.end - s.start for s in working),
        "judging": server.seconds / setting.concurrency,
        "tail": max(s.end for s in trace.spans) - max(s.end for s in working),
    }


def show(setting: Setting, found: dict[str, float], idle: float) -> None:
    """Print one run."""
    larger = max(found["generation"], found["judging"])
    print(
        f"{setting.name}: wall {found['wall']:.1f} s = {found['wall'] / larger:.3f} of the larger of "
        f"generation {found['generation']:.1f} s and judging {found['judging']:.1f} s; "
        f"engine idle {idle:.1%}; the judge's last {found['tail']:.1f} s alone; "
        f"one after the other {found['generation'] + found['judging']:.1f} s, "
        f"as the original does (a judgment at a time) {found['generation'] + found['serial']:.0f} s"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--latency", type=float, default=2.0)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--trace", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    target, base, tuned = (str(bundled_demo_models() / role) for role in ("target", "base", "tuned"))
    merge = open_merge(target, base, tuned, "layer")
    for setting in (
        Setting("judging is the larger", 30, 24, args.latency, args.concurrency),
        Setting("generation is the larger", 60, 110, args.latency, 8 * args.concurrency),
    ):
        trace = Trace()
        found = asyncio.run(run(setting, merge, args.trials, trace))
        found["serial"] = found["judging"] * setting.concurrency
        show(setting, found, trace.idle_share() or 0.0)
        if args.trace is not None:
            trace.write(args.trace.with_stem(f"{args.trace.stem}-{setting.name.split()[0]}"))


if __name__ == "__main__":
    main()
