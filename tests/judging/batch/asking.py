"""A judge that is asked in batches: what the tests of batches have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.servers import scoring
from tests.servers.batches import AnthropicBatchServer, BatchServer, OpenAIBatchServer
from tvmerge._util.assets import bundled_root
from tvmerge._util.cache import ContentCache
from tvmerge.judging.batch.batching import Batching
from tvmerge.judging.client.budget import Budget
from tvmerge.judging.client.ledger import Ledger
from tvmerge.judging.client.pauses import Pauses
from tvmerge.judging.client.request_policy import RequestPolicy
from tvmerge.judging.judges.prompted import PromptedJudge
from tvmerge.judging.prompts.fields import answer_fields, question_fields
from tvmerge.judging.prompts.kinds import kind_for
from tvmerge.judging.prompts.prompts import load_prompts
from tvmerge.judging.registry import create_judge
from tvmerge.judging.spec import JudgeSpec
from tvmerge.records import Answer, Judgment, Question, Rating
from tvmerge.run.rating_tasks import Rated, RatingTasks, all_rated

QUESTION = Question("q", "writing", ("数を一つ言って。",))
PROMPTS = load_prompts(bundled_root() / "prompts" / "judge_prompts.jsonl")
KEY = "sk-batch-secret"
SERVERS: dict[str, type[BatchServer]] = {"openai": OpenAIBatchServer, "anthropic": AnthropicBatchServer}


def answer(number: int) -> Answer:
    """The answer of that number."""
    return Answer("q", (f"{number}です。",))


def shown(number: int) -> str:
    """What the judge is shown of it."""
    kind = kind_for(QUESTION, 1)
    prompt = PROMPTS[kind.name]
    fields = question_fields(QUESTION, prompt, kind, 1) | answer_fields(QUESTION, answer(number), kind, 1)
    return prompt.render(fields)


def expected(count: int) -> list[int]:
    """The ratings of the first answers."""
    return [scoring.rating(shown(number)) for number in range(count)]


@dataclass
class Asking:
    """Runs that ask in batches, one after another, each as a separate process would.

    Attributes:
        folder: What the runs keep.
        server: Whom they ask.
        provider: Whose protocol it speaks.
        notes: What was said in passing.
        waits: What was shown to be waited for.
        options: More of `RequestPolicy`.
        spec: More of the judge's file.
    """

    folder: Path
    server: BatchServer
    provider: str
    notes: list[str] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    spec: dict[str, Any] = field(default_factory=dict)
    max_calls: int | None = None
    max_cost: float | None = None
    patience: float = 60.0
    together: bool = False

    @property
    def store(self) -> Path:
        """The list of batches."""
        return self.folder / "batches.db"

    def ledger(self) -> Ledger:
        """The ledger as it is on the disk."""
        return Ledger(self.folder / "ledger.jsonl")

    @contextmanager
    def judge(self) -> Iterator[tuple[PromptedJudge, Batching]]:
        """A judge, and what its batches have in common."""
        with self.judges({}) as ((judge,), batching):
            yield judge, batching

    @contextmanager
    def judges(self, *parameters: Mapping[str, Any]) -> Iterator[tuple[Sequence[PromptedJudge], Batching]]:
        """Judges of one model with these parameters, and what their batches have in common."""
        ledger = self.ledger()
        batching = Batching(self.folder, patience=self.patience, quiet=0.1)
        specs = [
            JudgeSpec(
                "judge" if len(parameters) == 1 else f"judge-{number}",
                self.provider,
                model="m",
                base_url=self.server.base_url,
                api_key_env="TEST_KEY",
                **{"price_input": 1.0, "price_output": 1.0, "parameters": dict(given), **self.spec},
            )
            for number, given in enumerate(parameters)
        ]
        with closing(ContentCache(self.folder / "cache")) as cache:
            policy = RequestPolicy(
                cache=cache,
                ledger=ledger,
                budget=Budget(ledger, max_calls=self.max_calls, max_cost=self.max_cost),
                batching=batching,
                note=self.notes.append,
                pauses=Pauses(self.waits.append, every=0.0),
                **self.options,
            )
            judges = [
                create_judge(
                    spec, PROMPTS, [QUESTION], together=self.together, policy=policy, env={"TEST_KEY": KEY}
                )
                for spec in specs
            ]
            yield [judge for judge in judges if isinstance(judge, PromptedJudge)], batching

    def run(self, count: int) -> list[Judgment]:
        """The judgments of the first answers."""
        return asyncio.run(self._run(range(count)))

    def scores(self, count: int) -> list[float | None]:
        """Their ratings."""
        return [judgment.score if isinstance(judgment, Rating) else None for judgment in self.run(count)]

    async def _run(self, numbers: Sequence[int]) -> list[Judgment]:
        with self.judge() as (judge, batching):
            try:
                await batching.check()
                rated = await rate(judge, numbers)
            finally:
                await judge.close()
        return [judgment for _, judgments in rated for judgment in judgments]


async def rate(judge: PromptedJudge, numbers: Sequence[int]) -> list[Rated]:
    """The answers of these numbers, rated as a run has them rated."""
    ratings = RatingTasks(judge)
    tasks = [ratings.start(QUESTION, answer(number)) for number in numbers]
    try:
        return await all_rated(tasks)
    finally:
        await ratings.drain(30.0)
