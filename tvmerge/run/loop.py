"""The loop of a run: candidates go out, answers stream to the judge, scores come back in order.

It knows the interfaces only. While one candidate's answers are judged, the next is merged and answers: an
engine is held for merging and generation alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from itertools import pairwise
from typing import Any

from tvmerge._util.tasks import stop
from tvmerge._util.threads import in_thread
from tvmerge._util.trace import Trace
from tvmerge.errors import CandidateError
from tvmerge.protocols import Judge, Pool, Race, Study
from tvmerge.records import Answer, Evaluation, Judgment, Outcome, Question, Recipe, Sampling, Trial
from tvmerge.run.rating_tasks import Rated, Ratings, all_rated

BACKLOG = 256
"""The most answers that wait for a judge which is asked one by one."""


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
        self,
        pool: Pool,
        judge: Judge,
        sampling: Sampling,
        *,
        backlog: int = BACKLOG,
        trace: Trace | None = None,
    ) -> None:
        self._pool = pool
        self._ratings = Ratings(judge, trace, count_unanswered=True)
        self._sampling = sampling
        self._backlog = backlog

    async def evaluate(
        self, recipe: Recipe, questions: Sequence[Question], race: Race | None = None
    ) -> Evaluation:
        """Answers and judgments of `recipe` on `questions`, in the order of the questions.

        Where the recipe makes no usable model, the evaluation is empty and says why.

        With a race, answers go to the judge a wave at a time: what is behind the next look is generated
        meanwhile, but not paid for before the race has passed the look. Where the race is lost, generation
        ends, and the evaluation covers the questions up to that look, whatever else was generated.

        Args:
            recipe: The candidate.
            questions: What it is asked, in the order of the race.
            race: Decides at its looks whether to stop.
        """
        try:
            return await self._evaluate(recipe, questions, race)
        except CandidateError as error:
            return Evaluation(recipe, failure=str(error))

    async def _evaluate(self, recipe: Recipe, questions: Sequence[Question], race: Race | None) -> Evaluation:
        waves = _between(questions, () if race is None else race.looks)
        answers = [_Inbox(len(wave) * self._sampling.samples) for wave in waves]
        answering = asyncio.create_task(self._answer(recipe, waves, answers, race))
        rated: list[Rated] = []
        stopped = False
        try:
            for wave, inbox in zip(waves, answers, strict=True):
                rated += await self._rated(wave, inbox)
                if race is not None and wave is not waves[-1]:
                    stopped = await asyncio.to_thread(race.should_prune, _judgments(rated))
                    if stopped:
                        break
            if not stopped:
                await answering
        finally:
            await stop([answering])
        place = {question.question_id: index for index, question in enumerate(questions)}
        rated.sort(key=lambda pair: (place[pair[0].question_id], pair[0].sample))
        return Evaluation(
            recipe=recipe,
            rated=tuple((answer, tuple(judgments)) for answer, judgments in rated),
            stopped=stopped,
        )

    async def drain(self, grace: float) -> None:
        """Wait up to `grace` seconds for the judgments in flight, then give the rest up."""
        await self._ratings.drain(grace)

    async def _answer(
        self,
        recipe: Recipe,
        waves: Sequence[Sequence[Question]],
        inboxes: Sequence[_Inbox],
        race: Race | None,
    ) -> None:
        """Generate all answers, and put each into the inbox of its wave."""
        inbox_of = {
            question.question_id: inbox
            for wave, inbox in zip(waves, inboxes, strict=True)
            for question in wave
        }
        questions = [question for wave in waves for question in wave]
        size = None if race is None else race.wave
        try:
            async with aclosing(self._pool.answer(recipe, questions, self._sampling, wave=size)) as stream:
                async for answers in stream:
                    for answer in answers:
                        inbox_of[answer.question_id].put(answer)
                    await self._breathe()
        except BaseException as error:
            for inbox in inboxes:
                inbox.fail(error)
            raise

    async def _rated(self, wave: Sequence[Question], inbox: _Inbox) -> list[Rated]:
        """Rate the answers of a wave as they come; raises the first failure as soon as it shows."""
        asked = {question.question_id: question for question in wave}
        tasks: list[asyncio.Task[Rated]] = []
        async for answer in inbox:
            task = self._ratings.start(asked[answer.question_id], answer)
            task.add_done_callback(inbox.watch)
            tasks.append(task)
        return await all_rated(tasks)

    async def _breathe(self) -> None:
        """Let the judge work, and wait while too much waits for it."""
        await asyncio.sleep(0)
        while len(self._ratings) >= self._backlog:
            await self._ratings.any_done()


async def search(
    study: Study,
    n_trials: int,
    evaluate: Callable[[Trial], Coroutine[Any, Any, Evaluation]],
    judge_outcome: Callable[[Trial, Evaluation], Outcome],
    on_told: Callable[[Trial], None],
) -> None:
    """Run `study` until `n_trials` trials are told; continue with those an earlier run left in flight.

    Args:
        study: What is asked and told.
        n_trials: Total number of trials, earlier runs included.
        evaluate: Starts a trial's evaluation.
        judge_outcome: Turns an evaluation into what the study is told; keeps the evidence. Called in order
            of trial numbers, in a thread.
        on_told: Called with each trial after it was told.
    """
    flights = {t.number: asyncio.create_task(evaluate(t)) for t in study.running()}
    try:
        while study.told < n_trials:
            while study.may_ask and study.asked < n_trials:
                trial = await in_thread(study.ask)
                flights[trial.number] = asyncio.create_task(evaluate(trial))
            trial = study.running()[0]
            evaluation = await _first(flights, trial.number)
            outcome = await in_thread(judge_outcome, trial, evaluation)
            scores = outcome.values or None
            await in_thread(study.tell, trial.number, scores, outcome.attrs, state=outcome.state)
            on_told(study.trials[trial.number])
    finally:
        await stop(flights.values())


async def _first(flights: dict[int, asyncio.Task[Evaluation]], number: int) -> Evaluation:
    """The evaluation of trial `number`; the failure of any flight is raised as soon as it happens."""
    while not flights[number].done():
        pending = [flight for flight in flights.values() if not flight.done()]
        await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for flight in flights.values():
            if flight.done() and flight.exception() is not None:
                flight.result()
    return flights.pop(number).result()


class _Inbox:
    """The answers of a wave, in the order they come; ends after the last, fails where generation fails.

    Args:
        expected: How many there will be.
    """

    def __init__(self, expected: int) -> None:
        self._missing = expected
        self._arrived: asyncio.Queue[Answer | BaseException] = asyncio.Queue()

    def put(self, answer: Answer) -> None:
        self._arrived.put_nowait(answer)

    def fail(self, error: BaseException) -> None:
        self._arrived.put_nowait(error)

    def watch(self, rating: asyncio.Task[Rated]) -> None:
        """Fail with a rating that failed: who waits for answers need not wait any more."""
        if not rating.cancelled() and (error := rating.exception()) is not None:
            self.fail(error)

    async def __aiter__(self) -> AsyncGenerator[Answer, None]:
        while self._missing:
            arrived = await self._arrived.get()
            if isinstance(arrived, BaseException):
                raise arrived
            self._missing -= 1
            yield arrived


def _between(questions: Sequence[Question], looks: Sequence[int]) -> list[Sequence[Question]]:
    """The questions cut at each look."""
    bounds = (0, *looks, len(questions))
    return [questions[start:end] for start, end in pairwise(bounds)]


def _judgments(rated: Sequence[Rated]) -> list[Judgment]:
    return [judgment for _, judgments in rated for judgment in judgments]
