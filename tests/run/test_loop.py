"""The loop: what overlaps, what waits, what survives a stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.scripted import QUESTIONS, SPACE, pool_of
from tvmerge.errors import CandidateError, CredentialsError
from tvmerge.records import (
    Answer,
    Evaluation,
    Outcome,
    Question,
    Recipe,
    Sampling,
    Trial,
    Unrated,
)
from tvmerge.run.loop import Evaluator, search
from tvmerge.scoring.statistics import estimate
from tvmerge.study.sampler import make_sampler
from tvmerge.study.storage import enter_study, open_storage
from tvmerge.study.study import SearchStudy, distributions
from tvmerge.testing import Clock, ScriptedEngine, ScriptedJudge


def make_study(folder: Path, window: int) -> SearchStudy:
    storage = open_storage(f"sqlite:///{folder / 'study.db'}")
    return SearchStudy(
        storage,
        enter_study(storage, "s", {}, {}),
        SPACE,
        make_sampler("TPE", distributions(SPACE), 1),
        enqueued=(SPACE.uniform(0), SPACE.uniform(1)),
        window=window,
    )


def outcome(trial: Trial, evaluation: Evaluation) -> Outcome:
    assert trial.recipe == evaluation.recipe
    return Outcome(estimate(evaluation.judgments).mean, {"n": len(evaluation.judgments)})


async def run(
    study: SearchStudy, evaluator: Evaluator, n_trials: int, on_told: Callable[[Trial], Any] = lambda _: None
) -> None:
    await search(study, n_trials, lambda trial: evaluator.evaluate(trial.recipe, QUESTIONS), outcome, on_told)


def table(study: SearchStudy) -> list[Any]:
    return [(t.number, dict(t.recipe.weights), t.value, t.state) for t in study.trials]


async def test_the_table_does_not_depend_on_who_is_slow(tmp_path: Path) -> None:
    tables = []
    for seed in (None, 1, 2, 3):
        study = make_study(tmp_path / str(seed), 4)
        evaluator = Evaluator(pool_of(ScriptedEngine(Clock(seed))), ScriptedJudge(Clock(seed)), Sampling())
        await run(study, evaluator, 14)
        tables.append(table(study))
    assert tables[1:] == tables[:1] * 3


async def test_an_evaluation_is_in_the_order_of_the_questions() -> None:
    evaluator = Evaluator(pool_of(ScriptedEngine(Clock(5))), ScriptedJudge(Clock(6)), Sampling())
    found = await evaluator.evaluate(SPACE.uniform(1), QUESTIONS)
    assert [a.question_id for a in found.answers] == [q.question_id for q in QUESTIONS]
    assert [j.question_id for j in found.judgments] == [q.question_id for q in QUESTIONS]


async def test_the_next_candidate_answers_while_the_last_one_is_judged(tmp_path: Path) -> None:
    gate = asyncio.Event()
    engine, judge = ScriptedEngine(Clock(None)), ScriptedJudge(Clock(None), gate=gate)
    running = asyncio.create_task(
        run(make_study(tmp_path, 2), Evaluator(pool_of(engine), judge, Sampling()), 2)
    )
    while judge.started < 2 * len(QUESTIONS):
        await asyncio.sleep(0.001)
    assert judge.finished == 0
    gate.set()
    await running
    assert engine.log.count("apply") == 2


async def test_generation_pauses_while_too_much_waits_for_the_judge() -> None:
    gate = asyncio.Event()
    judge = ScriptedJudge(Clock(None), gate=gate)
    evaluator = Evaluator(pool_of(ScriptedEngine(Clock(None))), judge, Sampling(), backlog=2)
    running = asyncio.create_task(evaluator.evaluate(SPACE.uniform(1), QUESTIONS))
    for _ in range(200):
        await asyncio.sleep(0)
    assert judge.started == 2
    gate.set()
    assert len((await running).answers) == len(QUESTIONS)


async def test_a_judge_that_cannot_go_on_stops_the_run_and_what_was_told_stays(tmp_path: Path) -> None:
    judge = ScriptedJudge(Clock(1), fail_at=20)
    study = make_study(tmp_path, 2)
    with pytest.raises(CredentialsError, match="refused"):
        await run(study, Evaluator(pool_of(ScriptedEngine(Clock(2))), judge, Sampling()), 10)
    again = make_study(tmp_path, 2)
    assert 0 < again.told < 10
    await run(again, Evaluator(pool_of(ScriptedEngine(Clock(3))), ScriptedJudge(Clock(4)), Sampling()), 10)
    whole = make_study(tmp_path / "whole", 2)
    await run(whole, Evaluator(pool_of(ScriptedEngine(Clock(3))), ScriptedJudge(Clock(4)), Sampling()), 10)
    assert table(again) == table(whole)


async def test_judgments_in_flight_survive_a_cancelled_run_within_the_grace(tmp_path: Path) -> None:
    gate = asyncio.Event()
    judge = ScriptedJudge(Clock(None), gate=gate)
    evaluator = Evaluator(pool_of(ScriptedEngine(Clock(None))), judge, Sampling())
    running = asyncio.create_task(run(make_study(tmp_path, 1), evaluator, 3))
    while judge.started < len(QUESTIONS):
        await asyncio.sleep(0.001)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    gate.set()
    await evaluator.drain(10)
    assert judge.finished == len(QUESTIONS)


async def test_the_grace_ends() -> None:
    judge = ScriptedJudge(Clock(None), gate=asyncio.Event())
    evaluator = Evaluator(pool_of(ScriptedEngine(Clock(None))), judge, Sampling())
    running = asyncio.create_task(evaluator.evaluate(SPACE.uniform(1), QUESTIONS))
    while judge.started < len(QUESTIONS):
        await asyncio.sleep(0)
    running.cancel()
    await evaluator.drain(0)
    assert judge.finished == 0
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_turn_without_an_answer_counts_as_unscored() -> None:
    class Terse(ScriptedEngine):
        async def generate(
            self, questions: Sequence[Question], sampling: Sampling
        ) -> AsyncGenerator[tuple[Answer, ...], None]:
            yield tuple(Answer(q.question_id, ("1.5",)) for q in questions)

    asked = [Question(1, "writing", ("q", "and?")), Question(2, "writing", ("q",))]
    evaluator = Evaluator(pool_of(Terse(Clock(None))), ScriptedJudge(Clock(None)), Sampling())
    found = (await evaluator.evaluate(SPACE.uniform(1), asked)).judgments
    assert [(j.question_id, j.turn, isinstance(j, Unrated)) for j in found] == [
        (1, 1, False),
        (1, 2, True),
        (2, 1, False),
    ]


class _Unmakeable(ScriptedEngine):
    """Cannot become one of its candidates."""

    async def apply(self, recipe: Recipe) -> None:
        if recipe == SPACE.uniform(1):
            raise CandidateError("holds infinities")
        await super().apply(recipe)


async def test_a_candidate_that_no_engine_can_become_has_no_score_and_stops_no_other(tmp_path: Path) -> None:
    study = make_study(tmp_path, 2)
    evaluator = Evaluator(pool_of(_Unmakeable(Clock(None))), ScriptedJudge(Clock(None)), Sampling())
    failed = await evaluator.evaluate(SPACE.uniform(1), QUESTIONS)
    assert (failed.failure, failed.rated) == ("holds infinities", ())

    def judged(trial: Trial, evaluation: Evaluation) -> Outcome:
        return Outcome(None, {}) if evaluation.failure else outcome(trial, evaluation)

    await search(study, 4, lambda trial: evaluator.evaluate(trial.recipe, QUESTIONS), judged, lambda _: None)
    assert [trial.state for trial in study.trials] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
