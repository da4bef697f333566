"""A pool with a cache: nothing is generated or rated twice."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from tvmerge._util.cache import ContentCache
from tvmerge._util.canonical import digest
from tvmerge._util.well_formed import well_formed_record
from tvmerge.engines.answer_store import StoredAnswers
from tvmerge.protocols import Pool
from tvmerge.records import Answer, Continuation, LogLikelihood, Question, Recipe, Sampling

LIKELIHOODS = "likelihood-v1"


class CachedPool:
    """Wraps a pool and uses it only for answers and likelihoods that are not stored.

    In 16-bit arithmetic the composition of a batch can change a token; a stored answer is used as it is.

    Args:
        pool: Answers the questions that have no stored answer.
        cache: Where answers are kept.
        identity: Everything that decides an answer except recipe, question and sampling: digests of the
            source checkpoints, output dtype, chat template.
    """

    def __init__(self, pool: Pool, cache: ContentCache, identity: Mapping[str, str]) -> None:
        self._pool = pool
        self._cache = cache
        self._identity = dict(identity)
        self._answers = StoredAnswers(cache, identity)

    async def answer(
        self,
        recipe: Recipe,
        questions: Sequence[Question],
        sampling: Sampling,
        *,
        wave: int | None = None,
    ) -> AsyncGenerator[tuple[Answer, ...], None]:
        """Yield the stored answers first, then the others as they are generated, in waves."""
        hits, missing = await asyncio.to_thread(self._answers.look_up, recipe, questions, sampling)
        if hits:
            yield tuple(hits)
        if not missing:
            return
        by_id = {question.question_id: question for question in missing}
        async with aclosing(self._pool.answer(recipe, missing, sampling, wave=wave)) as stream:
            async for given in stream:
                # Engines may be the user's own.
                answers = tuple(map(well_formed_record, given))
                pairs = [(by_id[answer.question_id], answer) for answer in answers]
                await asyncio.to_thread(self._answers.keep, recipe, pairs, sampling)
                yield answers

    async def loglikelihood(self, recipe: Recipe, pairs: Sequence[Continuation]) -> Sequence[LogLikelihood]:
        """Return stored likelihoods, and have the pool rate the other pairs."""
        keys = await asyncio.to_thread(self._pair_keys, recipe, pairs)
        found: dict[str, LogLikelihood | None] = await asyncio.to_thread(
            lambda: {key: _likelihood(self._cache.get(key)) for key in dict.fromkeys(keys)}
        )
        missing = {key: pair for key, pair in zip(keys, pairs, strict=True) if found[key] is None}
        if missing:
            rated = await self._pool.loglikelihood(recipe, list(missing.values()))
            new = dict(zip(missing, rated, strict=True))
            # An overflowing model gives NaN or inf, which is not a likelihood to store.
            kept = {key: [one.logprob, one.greedy] for key, one in new.items() if math.isfinite(one.logprob)}
            await asyncio.to_thread(self._cache.put_many, kept)
            found |= new
        return [one for key in keys if (one := found[key]) is not None]

    async def close(self) -> None:
        """Close the pool, but not the cache, which the caller opened."""
        await self._pool.close()

    def _pair_keys(self, recipe: Recipe, pairs: Sequence[Continuation]) -> list[str]:
        # All pairs have the same recipe and many the same long context, so each is digested only once.
        model = digest({"schema": LIKELIHOODS, "model": self._identity, "weights": dict(recipe.weights)})
        contexts = {context: digest(list(context)) for context in dict.fromkeys(p.context for p in pairs)}
        return [digest([model, contexts[pair.context], list(pair.tokens)]) for pair in pairs]


def _likelihood(row: Any) -> LogLikelihood | None:
    """Return the likelihood in a row of the cache; None if it is none."""
    match row:
        case [float() | int() as logprob, bool(greedy)]:
            return LogLikelihood(float(logprob), greedy)
    return None


if TYPE_CHECKING:
    _pool: type[Pool] = CachedPool
