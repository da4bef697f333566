"""An engine that remembers: an answer that was generated once is never generated again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from tvmerge.cache import ContentCache
from tvmerge.canonical import digest
from tvmerge.protocols import Engine
from tvmerge.records import Answer, Question, Recipe, Sampling

SCHEMA = "answer-v1"


class CachedEngine:
    """Wraps an engine; a recipe is applied only when one of its answers is missing.

    In 16-bit arithmetic the composition of a batch can flip a token; the stored answer is then the truth.

    Args:
        engine: What answers the questions that were not answered yet.
        cache: Where answers are kept.
        identity: Everything but recipe, question and sampling that decides an answer: the digests of the
            source checkpoints, the output dtype, the chat template.
    """

    def __init__(self, engine: Engine, cache: ContentCache, identity: Mapping[str, str]) -> None:
        self._engine = engine
        self._cache = cache
        self._identity = dict(identity)
        self._recipe = Recipe()
        self._applied = False

    async def apply(self, recipe: Recipe) -> None:
        """Take note of the recipe; the work is done when an answer is missing."""
        self._recipe = recipe
        self._applied = False

    async def generate(
        self, questions: Sequence[Question], sampling: Sampling
    ) -> AsyncIterator[tuple[Answer, ...]]:
        """Yield the stored answers first, then the others as they come."""
        hits, missing = await asyncio.to_thread(self._look_up, questions, sampling)
        if hits:
            yield tuple(hits)
        if not missing:
            return
        if not self._applied:
            await self._engine.apply(self._recipe)
            self._applied = True
        by_id = {question.question_id: question for question in missing}
        async for answers in self._engine.generate(missing, sampling):
            rows = {
                self._key(by_id[answer.question_id], answer.sample, sampling): _pack(answer)
                for answer in answers
            }
            await asyncio.to_thread(self._cache.put_many, rows)
            yield answers

    async def close(self) -> None:
        """Close the engine; the cache belongs to whoever opened it."""
        await self._engine.close()

    def _look_up(
        self, questions: Sequence[Question], sampling: Sampling
    ) -> tuple[list[Answer], list[Question]]:
        """Stored answers, and the questions that lack one of their samples."""
        hits: list[Answer] = []
        missing: list[Question] = []
        for question in questions:
            keys = [self._key(question, sample, sampling) for sample in range(sampling.samples)]
            rows = [row for row in map(self._cache.get, keys) if row is not None]
            if len(rows) < len(keys):
                missing.append(question)
            else:
                hits.extend(_unpack(row, question, sample) for sample, row in enumerate(rows))
        return hits, missing

    def _key(self, question: Question, sample: int, sampling: Sampling) -> str:
        temperature = sampling.temperature(question.category)
        drawn = {"seed": sampling.seed, "sample": sample} if temperature else {}
        return digest(
            {
                "schema": SCHEMA,
                "model": self._identity,
                "weights": dict(self._recipe.weights),
                "turns": list(question.turns),
                "max_new_tokens": sampling.max_new_tokens,
                "temperature": temperature,
                **drawn,
            }
        )


def _pack(answer: Answer) -> dict[str, Any]:
    return {"turns": list(answer.turns), "finish": list(answer.finish)}


def _unpack(row: Mapping[str, Any], question: Question, sample: int) -> Answer:
    return Answer(question.question_id, tuple(row["turns"]), tuple(row["finish"]), sample)
