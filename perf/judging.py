"""Measures judging: tvmerge's layer versus the SDK, a cache hit versus a call, the rate limiter.

Run as `python perf/judging.py`; it takes about a minute. The server is a separate process on the loopback
interface that answers at once, so only the client is measured. Rounds of tvmerge and of the SDK alternate, so
that both are subject to the same noise.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import openai

sys.path.append(str(Path(__file__).resolve().parents[1]))  # the servers are the tests' own

from tests.servers.openai_server import OpenAIServer
from tvmerge._util.assets import bundled_root
from tvmerge._util.cache import ContentCache
from tvmerge.judging.client.rate_limit import RateLimiter
from tvmerge.judging.client.request_policy import RequestPolicy
from tvmerge.judging.prompts.prompts import load_prompts
from tvmerge.judging.prompts.reply_format import RatingFormat
from tvmerge.judging.registry import create_chat, create_judge
from tvmerge.judging.spec import JudgeSpec
from tvmerge.protocols import Judge
from tvmerge.records import Answer, Question

CONCURRENCY = 64
CALLS = 1000
ROUNDS = 5
QUESTION = Question("q", "writing", ("好きな季節について、三文で述べてください。",))
WAITERS, RATE = 1000, 50


def answer(number: int) -> Answer:
    """Return a distinct answer for each number."""
    return Answer("q", (f"{number}番目の答えです。春は花が咲き、風も穏やかで、散歩に向いています。" * 3,))


def serve(pipe: Connection) -> None:
    """Run a server until the pipe says to stop."""
    with OpenAIServer() as server:
        pipe.send(server.base_url)
        pipe.recv()


async def bounded(works: Sequence[Callable[[], Awaitable[object]]]) -> float:
    """Return the seconds that all works take, `CONCURRENCY` at a time."""
    places = asyncio.Semaphore(CONCURRENCY)

    async def one(work: Callable[[], Awaitable[object]]) -> None:
        async with places:
            await work()

    begun = time.perf_counter()
    await asyncio.gather(*(one(work) for work in works))
    return time.perf_counter() - begun


class Bench:
    """The same judgments through the bare SDK and through the whole layer."""

    def __init__(self, url: str, folder: Path) -> None:
        self._spec = JudgeSpec("perf", "openai", model="gpt-4o", base_url=url, key_required=False)
        self._prompts = load_prompts(bundled_root() / "prompts" / "judge_prompts.jsonl")
        self._cache = ContentCache(folder)
        self._client = openai.AsyncOpenAI(api_key="unused", base_url=url, max_retries=0)
        self._made = 0

    def judge(self) -> Judge:
        """Return the whole layer."""
        policy = RequestPolicy(cache=self._cache, concurrency=CONCURRENCY)
        return create_judge(self._spec, self._prompts, [QUESTION], policy=policy)

    def fresh(self) -> list[Answer]:
        """Return answers that have not been judged."""
        self._made += CALLS
        return [answer(number) for number in range(self._made - CALLS, self._made)]

    async def bare(self) -> float:
        """Return the seconds for `CALLS` calls of the SDK with the bodies that tvmerge sends."""
        chat = create_chat(self._spec)
        prompt = self._prompts["single-v1"]
        bodies = [
            chat.request(
                prompt.system_prompt,
                prompt.render({"question": QUESTION.turns[0], "answer": fresh.turns[0]}),
                RatingFormat(),
            ).body
            for fresh in self.fresh()
        ]
        await chat.close()
        create: Any = self._client.chat.completions.create
        return await bounded([partial(create, **body) for body in bodies])

    async def layer(self) -> tuple[float, float]:
        """Return the seconds for `CALLS` paid judgments, and for the same ones from the cache."""
        judge = self.judge()
        answers = self.fresh()
        # The first call opens connections and the cache, which is not part of a call's time.
        await judge.judge(QUESTION, Answer("q", (f"warm {self._made}",)))
        works = [partial(judge.judge, QUESTION, each) for each in answers]
        paid = await bounded(works)
        hits = await bounded(works)
        await judge.close()
        return paid, hits

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()
        self._cache.close()


async def measure_calls(url: str) -> None:
    """Print calls per second and the time of a cache hit."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(url, Path(folder))
        bare, paid, hits = [], [], []
        for _ in range(ROUNDS):
            bare.append(await bench.bare())
            round_paid, round_hits = await bench.layer()
            paid.append(round_paid)
            hits.append(round_hits)
        await bench.close()
    ratio = statistics.median(b / p for b, p in zip(bare, paid, strict=True))
    cheaper = statistics.median(p / h for p, h in zip(paid, hits, strict=True))
    report("bare SDK", f"{CALLS / statistics.median(bare):8.0f} calls/s at {CONCURRENCY} concurrent")
    report(
        "whole layer", f"{CALLS / statistics.median(paid):8.0f} calls/s, {ratio:.2f} of it", "at least 0.70"
    )
    report(
        "cache hit",
        f"{1e6 * statistics.median(hits) / CALLS:8.0f} us, {cheaper:.0f} times cheaper than a call",
        "at least 20 times",
    )


async def measure_limiter() -> None:
    """Print how much of the limit many waiters use, and the worst second."""
    limiter = RateLimiter(rpm=RATE, minute=1.0)
    granted: list[float] = []

    async def wait() -> None:
        permit = await limiter.admit()
        granted.append(time.perf_counter())
        limiter.settle(permit, 0)

    await asyncio.gather(*(wait() for _ in range(WAITERS)))
    ideal = (WAITERS - RATE) / RATE
    share = ideal / (granted[-1] - granted[0])
    worst = max(sum(begin <= moment < begin + 1.0 for moment in granted) for begin in granted)
    report(f"limiter, {WAITERS} waiters", f"{100 * share:8.1f}% of the ideal {RATE}/s", "at least 99%")
    report("worst second", f"{worst:8d} grants", f"at most {RATE}")


def report(name: str, value: str, target: str = "") -> None:
    """Print one line."""
    print(f"{name:24}{value:52}{'target: ' + target if target else ''}".rstrip())


def main() -> None:
    """Measure everything."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    server = context.Process(target=serve, args=(there,))
    server.start()
    asyncio.run(measure_calls(here.recv()))
    here.send(None)
    server.join()
    asyncio.run(measure_limiter())


if __name__ == "__main__":
    main()
