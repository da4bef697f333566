"""Pools on the same devices: one is closed before the other starts."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from tests.engines.mortals import KEYS, QUESTIONS, SAMPLING, Mortal, PoolContract, ask, mortals
from tvmerge.engines.pool import EnginePool
from tvmerge.engines.turns import TurnPool, Turns
from tvmerge.protocols import Pool
from tvmerge.records import Continuation, LogLikelihood, Recipe


@pytest.fixture
def deaths() -> list[int]:
    return []


class TestTurnPool(PoolContract):
    """The contract of all pools."""

    @pytest.fixture
    def pool(self, deaths: list[int]) -> TurnPool:
        return TurnPool(lambda: EnginePool(mortals(1, deaths)), Turns())


async def test_pools_take_turns_and_each_comes_back() -> None:
    made: list[Mortal] = []
    turns, opened = Turns(), list[str]()

    def make(name: str) -> TurnPool:
        def pool() -> Pool:
            opened.append(name)
            return EnginePool(mortals(1, [], made))

        return TurnPool(pool, turns)

    search, confirm = make("search"), make("confirm")
    await confirm.close()
    async with aclosing(search.answer(Recipe({"a": 1.0}), QUESTIONS, SAMPLING)) as stream:
        await anext(stream)
        waiting = asyncio.create_task(ask(confirm, 1.0))
        for _ in range(9):
            await asyncio.sleep(0)
        # The engine of the search is in use, so that of the confirmation does not exist yet.
        assert len(made) == 1
        assert not waiting.done()
    assert {answer.turns for answer in await waiting} == {("1.0",)}
    assert [engine.closed for engine in made] == [True, False]
    # The same candidate as before its engine was closed.
    assert sorted((int(a.question_id), a.sample) for a in await ask(search, 1.0)) == KEYS
    assert await confirm.loglikelihood(Recipe({"a": 2.0}), [Continuation((1,), (1,))]) == [
        LogLikelihood(-3.0, greedy=False)
    ]
    assert [engine.closed for engine in made] == [True, True, True, False]
    assert [engine.merges for engine in made] == [1] * 4
    for pool in (search, confirm):
        await pool.close()
    assert all(engine.closed for engine in made)
    assert opened == ["search", "confirm"]
