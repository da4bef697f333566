"""A pool that remembers: what was generated or rated once is never generated or rated again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from tvmerge.cache import ContentCache
from tvmerge.canonical import digest
from tvmerge.protocols import Pool
from tvmerge.records import Answer, Continuation, LogLikelihood, Question, Recipe, Sampling

SCHEMA = "answer-v1"
LIKELIHOODS = "likelihood-v1"


class CachedPool:
    """Wraps a pool; an engine is asked for only when an answer or a likelihood is missing.

    In 16-bit arithmetic the composition of a batch can flip a token; the stored answer is then the truth.

    Args:
        pool: What answers the questions that were not answered yet.
        cache: Where answers are kept.
        identity: Everything but recipe, question and sampling that decides an answer: the digests of the
            source checkpoints, the output dtype, the chat template.
    """

    def __init__(self, pool: Pool, cache: ContentCache, identity: Mapping[str, str]) -> None:
        self._pool = pool
        self._cache = cache
        self._identity = dict(identity)

    async def answer(
        self,
        recipe: Recipe,
        questions: Sequence[Question],
        sampling: Sampling,
        *,
        wave: int | None = None,
    ) -> AsyncGenerator[tuple[Answer, ...], None]:
        """Yield the stored answers first, then the others as they come, in waves if wanted."""
        hits, missing = await asyncio.to_thread(self._look_up, recipe, questions, sampling)
        if hits:
            yield tuple(hits)
        if not missing:
            return
        by_id = {question.question_id: question for question in missing}
        async with aclosing(self._pool.answer(recipe, missing, sampling, wave=wave)) as stream:
            async for answers in stream:
                rows = {
                    self._key(recipe, by_id[answer.question_id], answer.sample, sampling): _pack(answer)
                    for answer in answers
                }
                await asyncio.to_thread(self._cache.put_many, rows)
                yield answers

    async def loglikelihood(self, recipe: Recipe, pairs: Sequence[Continuation]) -> Sequence[LogLikelihood]:
        """Rate the pairs that were not rated yet."""
        keys = await asyncio.to_thread(self._pair_keys, recipe, pairs)
        found: dict[str, Any] = await asyncio.to_thread(
            lambda: {key: self._cache.get(key) for key in dict.fromkeys(keys)}
        )
        missing = {key: pair for key, pair in zip(keys, pairs, strict=True) if found[key] is None}
        if missing:
            rated = await self._pool.loglikelihood(recipe, list(missing.values()))
            rows = {key: [one.logprob, one.greedy] for key, one in zip(missing, rated, strict=True)}
            await asyncio.to_thread(self._cache.put_many, rows)
            found |= rows
        return [LogLikelihood(*found[key]) for key in keys]

    async def close(self) -> None:
        """Close the pool; the cache belongs to whoever opened it."""
        await self._pool.close()

    def _look_up(
        self, recipe: Recipe, questions: Sequence[Question], sampling: Sampling
    ) -> tuple[list[Answer], list[Question]]:
        """Stored answers, and the questions that lack one of their samples."""
        hits: list[Answer] = []
        missing: list[Question] = []
        for question in questions:
            keys = [self._key(recipe, question, sample, sampling) for sample in range(sampling.samples)]
            rows = [row for row in map(self._cache.get, keys) if row is not None]
            if len(rows) < len(keys):
                missing.append(question)
            else:
                hits.extend(_unpack(row, question, sample) for sample, row in enumerate(rows))
        return hits, missing

    def _key(self, recipe: Recipe, question: Question, sample: int, sampling: Sampling) -> str:
        temperature = sampling.temperature(question.category)
        drawn = {"seed": sampling.seed, "sample": sample} if temperature else {}
        unusual = {"stop": list(sampling.stop), "truncate": sampling.truncate, "raw": sampling.raw}
        return digest(
            {
                "schema": SCHEMA,
                "model": self._identity,
                "weights": dict(recipe.weights),
                "turns": list(question.turns),
                "max_new_tokens": sampling.max_new_tokens,
                "temperature": temperature,
                **drawn,
                **{name: value for name, value in unusual.items() if value},
            }
        )

    def _pair_keys(self, recipe: Recipe, pairs: Sequence[Continuation]) -> list[str]:
        # Many pairs have the same long context and all the same recipe: each is digested once.
        model = digest({"schema": LIKELIHOODS, "model": self._identity, "weights": dict(recipe.weights)})
        contexts = {context: digest(list(context)) for context in dict.fromkeys(p.context for p in pairs)}
        return [digest([model, contexts[pair.context], list(pair.tokens)]) for pair in pairs]


def _pack(answer: Answer) -> dict[str, Any]:
    return {"turns": list(answer.turns), "finish": list(answer.finish)}


def _unpack(row: Mapping[str, Any], question: Question, sample: int) -> Answer:
    return Answer(question.question_id, tuple(row["turns"]), tuple(row["finish"]), sample)


if TYPE_CHECKING:
    _pool: type[Pool] = CachedPool
