"""A judging process that a test kills."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tvmerge._util.cache import ContentCache
from tvmerge._util.files import write_json
from tvmerge.judging.client.request_policy import RequestPolicy
from tvmerge.judging.prompts.prompts import load_prompts
from tvmerge.judging.registry import create_judge
from tvmerge.judging.spec import JudgeSpec
from tvmerge.records import Answer, Question, Rating

QUESTION = Question("q", "writing", ("数を一つ言って。",))


def answer(number: int) -> Answer:
    """The answer to be judged under a number."""
    return Answer("q", (f"{number}です。",))


def judge_all(url: str, folder: Path, out: Path, *, prompts: Path, count: int, concurrency: int) -> None:
    """Judge `count` answers and write their scores to `out`."""
    write_json(out, asyncio.run(_scores(url, folder, prompts, count, concurrency)))


async def _scores(url: str, folder: Path, prompts: Path, count: int, concurrency: int) -> list[float]:
    cache = ContentCache(folder)
    spec = JudgeSpec("doomed", "openai", model="gpt-4o", base_url=url, key_required=False)
    policy = RequestPolicy(cache=cache, concurrency=concurrency)
    judge = create_judge(spec, load_prompts(prompts), [QUESTION], policy=policy)
    judged = await asyncio.gather(*(judge.judge(QUESTION, answer(number)) for number in range(count)))
    await judge.close()
    cache.close()
    return [judgment.score for (judgment,) in judged if isinstance(judgment, Rating)]
