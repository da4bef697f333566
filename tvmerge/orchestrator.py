"""The loop of a run: candidates go out, answers stream to the judge, scores come back in order.

It knows the seams only. While one candidate's answers are judged, the next is merged and answers: an engine
is held for merging and generation alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any

from tvmerge.protocols import Judge, Pool, Study
from tvmerge.ratings import Rated, Ratings, all_rated
from tvmerge.records import Evaluation, Outcome, Question, Recipe, Sampling, Trial
from tvmerge.trace import Trace


class Evaluator:
    """Has a candidate answer, and has its answers judged.

    Args:
        pool: Turns recipes and questions into answers; serves candidates in the order they came.
        judge: Rates each answer as soon as it is there.
        sampling: How answers are drawn.
        backlog: The most answers waiting for the judge before generation pauses.
        trace: Takes note of when each answer was rated.
    """

    def __init__(
        self, pool: Pool, judge: Judge, sampling: Sampling, *, backlog: int = 256, trace: Trace | None = None
    ) -> None:
        self._pool = pool
        self._ratings = Ratings(judge, trace, count_unanswered=True)
        self._sampling = sampling
        self._backlog = backlog

    async def evaluate(self, recipe: Recipe, questions: Sequence[Question]) -> Evaluation:
        """Answers and judgments of `recipe` on `questions`, in the order of the questions."""
        place = {question.question_id: index for index, question in enumerate(questions)}
        tasks: list[asyncio.Task[Rated]] = []
        async with aclosing(self._pool.answer(recipe, questions, self._sampling)) as stream:
            async for answers in stream:
                tasks += [self._ratings.start(questions[place[a.question_id]], a) for a in answers]
                await self._breathe(tasks)
        rated = await all_rated(tasks)
        rated.sort(key=lambda pair: (place[pair[0].question_id], pair[0].sample))
        return Evaluation(
            recipe=recipe,
            answers=tuple(answer for answer, _ in rated),
            judgments=tuple(judgment for _, judgments in rated for judgment in judgments),
        )

    async def drain(self, grace: float) -> None:
        """Wait up to `grace` seconds for the judgments in flight, then give the rest up."""
        await self._ratings.drain(grace)

    async def _breathe(self, tasks: Sequence[asyncio.Task[Rated]]) -> None:
        """Let the judge work, and wait while too much waits for it; its failure ends the candidate."""
        await asyncio.sleep(0)
        while len(self._ratings) >= self._backlog:
            await self._ratings.any_done()
        for task in tasks:
            if task.done():
                task.result()


async def search(
    study: Study,
    n_trials: int,
    evaluate: Callable[[Recipe], Coroutine[Any, Any, Evaluation]],
    judge_outcome: Callable[[Trial, Evaluation], Outcome],
    on_told: Callable[[Trial], None],
) -> None:
    """Run `study` until `n_trials` trials are told; go on with those an earlier run left in flight.

    Args:
        study: What is asked and told.
        n_trials: Total number of trials, earlier runs included.
        evaluate: Starts a candidate's evaluation.
        judge_outcome: Turns an evaluation into what the study is told; keeps the evidence. Called in order
            of trial numbers, in a thread.
        on_told: Called with each trial after it was told.
    """
    flights = {t.number: asyncio.create_task(evaluate(t.recipe)) for t in study.running()}
    try:
        while study.told < n_trials:
            while study.may_ask and study.asked < n_trials:
                trial = await asyncio.to_thread(study.ask)
                flights[trial.number] = asyncio.create_task(evaluate(trial.recipe))
            trial = study.running()[0]
            evaluation = await _first(flights, trial.number)
            outcome = await asyncio.to_thread(judge_outcome, trial, evaluation)
            await asyncio.to_thread(study.tell, trial.number, outcome.value, outcome.attrs)
            on_told(study.trials[trial.number])
    finally:
        for flight in flights.values():
            flight.cancel()
        await asyncio.gather(*flights.values(), return_exceptions=True)


async def _first(flights: dict[int, asyncio.Task[Evaluation]], number: int) -> Evaluation:
    """The evaluation of trial `number`; the failure of any flight is raised as soon as it happens."""
    while not flights[number].done():
        pending = [flight for flight in flights.values() if not flight.done()]
        await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for flight in flights.values():
            if flight.done() and flight.exception() is not None:
                flight.result()
    return flights.pop(number).result()
