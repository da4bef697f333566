"""Races in the loop: what is paid for, what is stopped, who gets the engine then.

Several modules: the loop, the trial and the race.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import pytest

from tests.scripted import QUESTIONS, SPACE, pool_of
from tvmerge.errors import CredentialsError
from tvmerge.records import (
    Answer,
    Judgment,
    Question,
    Sampling,
)
from tvmerge.run.loop import Evaluator
from tvmerge.testing import Clock, ScriptedEngine, ScriptedJudge


class ScriptedRace:
    """Checks after two and four questions, answered two at a time; prunes at the check that is given."""

    interim_checks = (2, 4)
    wave = 2

    def __init__(self, lost_at: int | None) -> None:
        self._lost_at = lost_at
        self.seen: list[list[object]] = []

    def should_prune(self, judgments: Sequence[Judgment]) -> bool:
        self.seen.append([judgment.question_id for judgment in judgments])
        return len(judgments) == self._lost_at


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("lost_at", "asked"), [(2, 2), (4, 4), (None, 6)])
async def test_a_race_is_decided_by_the_questions_up_to_the_interim_check_whoever_is_slow(
    lost_at: int | None, asked: int, seed: int
) -> None:
    race, judge = ScriptedRace(lost_at), ScriptedJudge(Clock(seed))
    evaluator = Evaluator(pool_of(ScriptedEngine(Clock(seed + 100))), judge, Sampling())
    found = await evaluator.evaluate(SPACE.uniform(1), QUESTIONS, race)
    assert found.stopped == (lost_at is not None)
    assert [sorted(map(str, seen)) for seen in race.seen] == [["0", "1"], ["0", "1", "2", "3"]][: asked // 2]
    assert [answer.question_id for answer in found.answers] == list(range(asked))
    assert [judgment.question_id for judgment in found.judgments] == list(range(asked))
    assert judge.started == asked


async def test_nothing_behind_an_interim_check_goes_to_the_judge_before_it() -> None:
    gate = asyncio.Event()
    engine, judge = ScriptedEngine(Clock(None)), ScriptedJudge(Clock(None), gate=gate)
    evaluator = Evaluator(pool_of(engine), judge, Sampling())
    running = asyncio.create_task(evaluator.evaluate(SPACE.uniform(1), QUESTIONS, ScriptedRace(2)))
    while len(engine.log) < 1 + len(QUESTIONS):
        await asyncio.sleep(0)
    assert judge.started == 2
    gate.set()
    assert (await running).stopped
    assert judge.started == 2


async def test_a_lost_race_ends_generation_and_frees_the_engine_for_the_next() -> None:
    class Stuck(ScriptedEngine):
        """Never comes to the second wave of its first candidate."""

        async def generate(
            self, questions: Sequence[Question], sampling: Sampling
        ) -> AsyncGenerator[tuple[Answer, ...], None]:
            if self.log.count("apply") == 1 and questions[0].question_id == 2:
                await asyncio.Event().wait()
            async with aclosing(super().generate(questions, sampling)) as stream:
                async for answers in stream:
                    yield answers

    engine = Stuck(Clock(None))
    evaluator = Evaluator(pool_of(engine), ScriptedJudge(Clock(None)), Sampling())
    stopped, whole = await asyncio.gather(
        evaluator.evaluate(SPACE.uniform(1), QUESTIONS, ScriptedRace(2)),
        evaluator.evaluate(SPACE.uniform(0), QUESTIONS, ScriptedRace(None)),
    )
    assert (stopped.stopped, whole.stopped) == (True, False)
    assert len(whole.answers) == len(QUESTIONS)
    assert engine.busy == 0
    assert [entry for entry in engine.log if entry == "apply"] == ["apply"] * 2


async def test_a_race_that_cannot_be_judged_fails_as_a_candidate_without_one_does() -> None:
    evaluator = Evaluator(pool_of(ScriptedEngine(Clock(1))), ScriptedJudge(Clock(2), fail_at=3), Sampling())
    with pytest.raises(CredentialsError, match="refused"):
        await evaluator.evaluate(SPACE.uniform(1), QUESTIONS, ScriptedRace(None))
