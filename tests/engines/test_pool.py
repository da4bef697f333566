"""Engines that candidates take turns on: order, deaths, and every answer told once."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from contextlib import aclosing
from pathlib import Path

import pytest

from tests.engines.models import open_demo_engine
from tests.engines.mortals import KEYS, QUESTIONS, SAMPLING, Mortal, PoolContract, ask, mortals
from tvmerge._util.trace import Trace
from tvmerge.engines.pool import PATIENCE, EnginePool
from tvmerge.engines.remote.entry import Entry
from tvmerge.engines.remote.lost import EngineLostError
from tvmerge.engines.remote.process import ProcessEngine
from tvmerge.errors import AssetError, ConfigError
from tvmerge.protocols import Engine
from tvmerge.records import Answer, Continuation, LogLikelihood, Recipe
from tvmerge.testing.engine_contract import WARM
from tvmerge.testing.models import Answers, answers_of, demo_questions, open_models, uniform


@pytest.fixture
def deaths() -> list[int]:
    return []


class TestEnginePool(PoolContract):
    """The contract of all pools."""

    @pytest.fixture
    def pool(self, deaths: list[int]) -> EnginePool:
        return EnginePool(mortals(1, deaths))


@pytest.mark.parametrize("seed", range(25))
async def test_every_answer_is_told_once_by_the_right_model_whatever_dies_when(seed: int) -> None:
    lots = random.Random(seed)
    # None dies thrice without an answer: that is another test.
    deaths = [lots.choice([0, 3, 4, 5, 6, 7, 8]) if i % 2 else lots.randrange(2, 9) for i in range(12)]
    made: list[Mortal] = []
    pool = EnginePool(mortals(3, deaths, made))
    found = await asyncio.gather(*(ask(pool, float(weight)) for weight in range(8)))
    for weight, answers in enumerate(found):
        told = sorted((int(a.question_id), a.sample) for a in answers)
        assert told == [(q, s) for q in range(7) for s in range(2)]
        assert {a.turns for a in answers} == {(str(float(weight)),)}
    await pool.close()
    assert all(engine.closed for engine in made)
    assert len(made) > 3


async def test_an_engine_that_keeps_dying_is_given_up_and_the_others_go_on() -> None:
    async def doomed() -> Engine:
        raise EngineLostError("the card fell out")

    notes: list[str] = []
    pool = EnginePool({"bad": doomed, **mortals(1, [])}, note=notes.append)
    found = await asyncio.gather(*(ask(pool, float(weight)) for weight in range(6)))
    assert [len(answers) for answers in found] == [14] * 6
    assert len(notes) == PATIENCE
    assert notes[-1].startswith("the engine on bad is abandoned after crashing 3 times: the card fell out")


async def test_what_an_engine_remarks_is_told_once() -> None:
    class Slow(Mortal):
        @property
        def remarks(self) -> list[str]:
            return [f"merge {number} was slow" for number in range(1, self.merges + 1)]

    async def start() -> Engine:
        return Slow([])

    notes: list[str] = []
    pool = EnginePool({"cuda:0": start}, note=notes.append)
    for weight in range(3):
        await ask(pool, float(weight))
    assert notes == ["merge 1 was slow", "merge 2 was slow", "merge 3 was slow"]


async def test_when_the_last_engine_is_given_up_everybody_waiting_is_told() -> None:
    async def doomed() -> Engine:
        raise EngineLostError("out of order")

    pool = EnginePool({"cuda:0": doomed})
    found = await asyncio.gather(*(ask(pool, 1.0) for _ in range(4)), return_exceptions=True)
    assert all(isinstance(error, ConfigError) for error in found)
    assert "the engine on cuda:0 crashed 3 times without an answer in between: out of order" in map(
        str, found
    )


async def test_nothing_is_started_before_it_is_needed() -> None:
    made: list[Mortal] = []
    pool = EnginePool(mortals(3, [], made))
    assert made == []
    await ask(pool, 1.0)
    assert len(made) == 1
    await pool.close()


async def test_bad_input_is_not_taken_for_a_death() -> None:
    class Refusing(Mortal):
        async def apply(self, recipe: Recipe) -> None:
            raise AssetError("question 7 is too long")

    async def start() -> Engine:
        return Refusing([])

    pool = EnginePool({"cpu": start})
    for _ in range(2):
        with pytest.raises(AssetError, match="question 7"):
            await ask(pool, 1.0)


async def test_waves_share_one_merge() -> None:
    made: list[Mortal] = []
    pool = EnginePool(mortals(1, [], made))
    await ask(pool, 1.0, wave=1)
    assert [engine.merges for engine in made] == [1]


async def test_an_engine_that_is_the_candidate_already_is_not_merged_again() -> None:
    made: list[Mortal] = []
    pool = EnginePool(mortals(1, [3], made))
    pairs = [Continuation((1,), (2,))]
    await pool.loglikelihood(Recipe({"a": 1.0}), pairs)
    await pool.loglikelihood(Recipe({"a": 1.0}), pairs)
    # The first is dead; its successor is nobody yet.
    assert await pool.loglikelihood(Recipe({"a": 1.0}), pairs) == [LogLikelihood(-2.0, greedy=False)]
    assert [engine.merges for engine in made] == [1, 1]


async def test_the_trace_counts_what_engines_do_and_not_their_waiting_for_a_reader() -> None:
    now = 0.0
    trace = Trace(lambda: now)
    pool = EnginePool(mortals(2, []), trace=trace)
    async for _ in pool.answer(Recipe({"a": 1.0}), QUESTIONS, SAMPLING):
        for _ in range(20):  # until the engine has made what may be ready
            await asyncio.sleep(0)
        now += 1.0
    assert trace.idle_share() == 1.0
    assert {(s.track, s.name) for s in trace.spans} == {
        ("engine 0", name) for name in ("start", "merge", "answer")
    }


async def test_an_engine_is_free_when_its_last_answer_is_made_though_nobody_has_taken_it() -> None:
    pool = EnginePool(mortals(1, []))
    async with aclosing(pool.answer(Recipe({"a": 1.0}), QUESTIONS[:2], SAMPLING)) as slow:
        await anext(slow)  # two batches: one is dealt with, one is ready
        assert len(await ask(pool, 2.0)) == len(KEYS)
        assert [len(batch) async for batch in slow] == [1]


async def test_real_engines_killed_at_work_lose_and_repeat_nothing(demo_models: Path) -> None:
    merge = open_models(demo_models)
    entry = Entry("tests.engines.models:open_demo_engine", {"folder": str(demo_models), "batch_tokens": 700})
    engines: list[ProcessEngine] = []
    killed: list[int] = []

    async def start() -> Engine:
        engines.append(await ProcessEngine.start(entry))
        return engines[-1]

    async def answer(weight: float, *, killer: bool) -> Answers:
        found: list[Answer] = []
        async for batch in pool.answer(uniform(merge, weight), demo_questions(), WARM):
            found += batch
            if killer and len(killed) < min(2, len(engines)):
                killed.append(engines[len(killed)].pid)
                os.kill(killed[-1], signal.SIGKILL)
        by_key = {(a.question_id, a.sample): a for a in found}
        assert len(by_key) == len(found)
        return by_key

    pool = EnginePool({"cpu 1": start, "cpu 2": start})
    weights = (0.0, 0.5, 1.0, 1.5)
    found = await asyncio.gather(*(answer(weight, killer=weight > 0) for weight in weights))
    await pool.close()
    assert len(killed) == 2
    assert len(engines) > 2
    alone = open_demo_engine(str(demo_models))
    for weight, answers in zip(weights, found, strict=True):
        assert answers == await answers_of(alone, uniform(merge, weight), demo_questions(), WARM)
    await alone.close()
