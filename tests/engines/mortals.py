"""Engines with a lot of their own, for pools to live with, and what every pool promises, as tests."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from tvmerge.engines.pool import EngineFactory
from tvmerge.engines.remote.lost import EngineLostError
from tvmerge.protocols import Engine, Pool
from tvmerge.records import Answer, Capabilities, Continuation, LogLikelihood, Question, Recipe, Sampling

QUESTIONS = tuple(Question(i, "writing", ("q",)) for i in range(7))
SAMPLING = Sampling(samples=2)
KEYS = [(number, sample) for number in range(7) for sample in range(2)]


class Mortal:
    """Answers in batches of three with its weight; dies when its lot says so.

    Args:
        deaths: Lots still to be drawn, shared with its successors: how many more calls and batches it has.
    """

    capabilities = Capabilities("mortal", exact=True)

    def __init__(self, deaths: list[int]) -> None:
        self._deaths = deaths
        self._life = deaths.pop() if deaths else 10**9
        self._recipe = Recipe()
        self.merges = 0
        self.closed = False

    def _live(self) -> None:
        if self._life <= 0:
            raise EngineLostError("its time had come")
        self._life -= 1

    async def apply(self, recipe: Recipe) -> None:
        await asyncio.sleep(0)
        self._live()
        self._recipe = recipe
        self.merges += 1

    async def generate(
        self, questions: Sequence[Question], sampling: Sampling
    ) -> AsyncGenerator[tuple[Answer, ...], None]:
        due = [(q, s) for q in questions for s in range(sampling.samples)]
        for start in range(0, len(due), 3):
            await asyncio.sleep(0)
            self._live()
            text = str(dict(self._recipe.weights)["a"])
            yield tuple(Answer(q.question_id, (text,), ("stop",), s) for q, s in due[start : start + 3])

    async def loglikelihood(self, pairs: Sequence[Continuation]) -> Sequence[LogLikelihood]:
        self._live()
        weight = dict(self._recipe.weights)["a"]
        return [LogLikelihood(-weight - pair.context[0], greedy=False) for pair in pairs]

    async def close(self) -> None:
        self.closed = True


def mortals(count: int, deaths: list[int], made: list[Mortal] | None = None) -> dict[str, EngineFactory]:
    async def start() -> Engine:
        engine = Mortal(deaths)
        if made is not None:
            made.append(engine)
        return engine

    return {str(number): start for number in range(count)}


async def ask(pool: Pool, weight: float, *, wave: int | None = None) -> list[Answer]:
    stream = pool.answer(Recipe({"a": weight}), QUESTIONS, SAMPLING, wave=wave)
    return [answer async for batch in stream for answer in batch]


class PoolContract:
    """Subclasses give the fixtures `deaths` (lots of the engines to come) and `pool` (of one such engine)."""

    async def test_every_wave_is_answered_before_the_next_whatever_dies_when(
        self, pool: Pool, deaths: list[int]
    ) -> None:
        # Each engine lives for a merge and a batch or two.
        deaths[:] = [4, 2, 3, 2, 2, 3, 4, 2, 3, 2]
        for weight, wave in enumerate((2, 3, 1, 7, 100)):
            answers = await ask(pool, float(weight), wave=wave)
            assert sorted((int(a.question_id), a.sample) for a in answers) == KEYS
            ends = [wave << place for place in range(len(QUESTIONS))]
            order = [bisect_right(ends, int(a.question_id)) for a in answers]
            assert order == sorted(order)

    async def test_waves_and_one_batch_give_the_same_answers(self, pool: Pool) -> None:
        together = await ask(pool, 1.0)
        assert sorted(map(repr, await ask(pool, 1.0, wave=2))) == sorted(map(repr, together))

    async def test_likelihoods_are_told_in_order_and_survive_deaths(
        self, pool: Pool, deaths: list[int]
    ) -> None:
        deaths[:] = [1, 0]  # the first cannot even merge, the next dies over the pairs
        pairs = [Continuation((number,), (1,)) for number in range(5)]
        found = await pool.loglikelihood(Recipe({"a": 2.0}), pairs)
        assert found == [LogLikelihood(-2.0 - number, greedy=False) for number in range(5)]

    async def test_a_caller_that_leaves_early_frees_its_engine(self, pool: Pool) -> None:
        async with aclosing(pool.answer(Recipe({"a": 1.0}), QUESTIONS, SAMPLING, wave=2)) as stream:
            await anext(stream)
            waiting = asyncio.create_task(ask(pool, 2.0))
            await asyncio.sleep(0)
        assert len(await waiting) == len(KEYS)
