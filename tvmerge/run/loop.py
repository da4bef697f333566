"""The loop of a run: evaluate candidates, stream their answers to the judge, return scores in order.

It depends on the protocols only. An engine is busy only while it merges and generates, so the next candidate
is merged and answers while the last one's answers are judged.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from itertools import pairwise
from typing import Any, TypeVar

from tvmerge._util.tasks import stop
from tvmerge._util.threads import in_thread
from tvmerge._util.trace import Trace
from tvmerge.errors import CandidateError
from tvmerge.protocols import AskAndTell, Judge, Numbered, Pool, Race, Study
from tvmerge.records import Answer, Evaluation, Judgment, Outcome, Question, Recipe, Sampling, Trial
from tvmerge.report.terminal.flights import Flight, Flights
from tvmerge.run.rating_tasks import Rated, RatingTasks, all_rated

Asked = TypeVar("Asked", bound=Numbered)

BACKLOG = 256
"""Maximum number of answers that wait for a judge that rates one at a time."""


class Evaluator:
    """Has a candidate answer questions and a judge rate the answers.

    Args:
        pool: Turns recipes and questions into answers; serves candidates in the order of their calls.
        judge: Rates each answer as soon as it is generated.
        sampling: The sampling parameters.
        backlog: Number of answers waiting for the judge at which generation pauses.
        trace: Records when each answer was rated.
        flights: Gets what each candidate is doing, for the display of the run.
        judge_of: Returns the judge of a candidate's answers, if not all candidates have the same.
    """

    def __init__(
        self,
        pool: Pool,
        judge: Judge,
        sampling: Sampling,
        *,
        backlog: int = BACKLOG,
        trace: Trace | None = None,
        flights: Flights | None = None,
        judge_of: Callable[[Recipe], Judge] | None = None,
    ) -> None:
        self._pool = pool
        self._judge_of = judge_of
        self._ratings = RatingTasks(judge, trace, count_unanswered=True)
        self._sampling = sampling
        self._backlog = backlog
        self._flights = flights or Flights()

    async def evaluate(
        self, recipe: Recipe, questions: Sequence[Question], race: Race | None = None, *, label: str = ""
    ) -> Evaluation:
        """Return the answers and judgments of `recipe` on `questions`, in the order of the questions.

        If the recipe makes no usable model, the evaluation is empty and has the reason in `failure`.

        With a race, answers go to the judge one wave at a time. Answers beyond the next interim check are
        generated meanwhile, but judged only once the candidate has passed it. If the candidate is pruned
        there, generation ends, and the evaluation covers the questions up to that check only.

        Args:
            recipe: The candidate.
            questions: The questions, in the order of the race.
            race: Decides at its interim checks whether to stop.
            label: What the candidate is called where the run is watched.
        """
        try:
            with self._flights.flight(label, recipe, len(questions) * self._sampling.samples) as flight:
                return await self._evaluate(recipe, questions, race, flight)
        except CandidateError as error:
            return Evaluation(recipe, failure=str(error))

    async def _evaluate(
        self, recipe: Recipe, questions: Sequence[Question], race: Race | None, flight: Flight
    ) -> Evaluation:
        waves = _between(questions, () if race is None else race.interim_checks)
        answers = [_Inbox(len(wave) * self._sampling.samples) for wave in waves]
        answering = asyncio.create_task(self._answer(recipe, waves, answers, race, flight))
        rated: list[Rated] = []
        judge = None if self._judge_of is None else self._judge_of(recipe)
        stopped = False
        try:
            for wave, inbox in zip(waves, answers, strict=True):
                rated += await self._rated(wave, inbox, judge, flight)
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
        """Wait up to `grace` seconds for the judgments in flight, then cancel the rest."""
        await self._ratings.drain(grace)

    async def _answer(
        self,
        recipe: Recipe,
        waves: Sequence[Sequence[Question]],
        inboxes: Sequence[_Inbox],
        race: Race | None,
        flight: Flight,
    ) -> None:
        """Generate all answers and put each into the inbox of its wave."""
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
                    self._flights.answered(flight, answers)
                    for answer in answers:
                        inbox_of[answer.question_id].put(answer)
                    await self._breathe()
        except BaseException as error:
            for inbox in inboxes:
                inbox.fail(error)
            raise

    async def _rated(
        self, wave: Sequence[Question], inbox: _Inbox, judge: Judge | None, flight: Flight
    ) -> list[Rated]:
        """Rate the answers of a wave as they come; raise the first failure at once."""
        asked = {question.question_id: question for question in wave}
        tasks: list[asyncio.Task[Rated]] = []
        async for answer in inbox:
            task = self._ratings.start(asked[answer.question_id], answer, judge)
            task.add_done_callback(inbox.watch)
            task.add_done_callback(lambda _: self._flights.was_rated(flight))
            tasks.append(task)
        return await all_rated(tasks)

    async def _breathe(self) -> None:
        """Yield to the judge, and wait while its backlog is full."""
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
    """Run `study` until `n_trials` trials are finished, beginning with those an earlier run left running.

    Args:
        study: The study.
        n_trials: Total number of trials, earlier runs included.
        evaluate: Evaluates a trial.
        judge_outcome: Turns an evaluation into the trial's result and logs the answers. Called in a thread,
            in order of trial numbers.
        on_told: Called with each finished trial.
    """

    async def finish(trial: Trial, evaluation: Evaluation) -> None:
        outcome = await in_thread(judge_outcome, trial, evaluation)
        scores = outcome.values or None
        await in_thread(study.tell, trial.number, scores, outcome.attrs, state=outcome.state)
        on_told(study.trials[trial.number])

    await ask_and_tell(study, n_trials, evaluate, finish)


async def ask_and_tell(
    study: AskAndTell[Asked],
    most: int,
    evaluate: Callable[[Asked], Coroutine[Any, Any, Evaluation]],
    finish: Callable[[Asked, Evaluation], Coroutine[Any, Any, None]],
    goes_on: Callable[[], bool] = lambda: True,
) -> None:
    """Run `study` until `most` asks are told, beginning with those an earlier run left running.

    Args:
        study: The study.
        most: Total number of asks, earlier runs included.
        evaluate: Evaluates what was asked; called for as many asks at once as the study has room for.
        finish: Tells the study; called in the order of the asks, one at a time.
        goes_on: Whether more may be asked; those in flight are told in any case.
    """
    flights = {asked.number: asyncio.create_task(evaluate(asked)) for asked in study.running()}
    try:
        while True:
            while study.may_ask and study.asked < most and goes_on():
                asked = await in_thread(study.ask)
                flights[asked.number] = asyncio.create_task(evaluate(asked))
            running = study.running()
            if not running:
                break
            asked = running[0]
            await finish(asked, await _first(flights, asked.number))
    finally:
        await stop(flights.values())


async def _first(flights: dict[int, asyncio.Task[Evaluation]], number: int) -> Evaluation:
    """Wait for the evaluation of ask `number`; raise a failure of any other at once."""
    while not flights[number].done():
        pending = [flight for flight in flights.values() if not flight.done()]
        await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for flight in flights.values():
            if flight.done() and flight.exception() is not None:
                flight.result()
    return flights.pop(number).result()


class _Inbox:
    """Iterates over a wave's answers as they come, and raises if generation fails.

    Args:
        expected: Number of answers in the wave.
    """

    def __init__(self, expected: int) -> None:
        self._missing = expected
        self._arrived: asyncio.Queue[Answer | BaseException] = asyncio.Queue()

    def put(self, answer: Answer) -> None:
        self._arrived.put_nowait(answer)

    def fail(self, error: BaseException) -> None:
        self._arrived.put_nowait(error)

    def watch(self, rating: asyncio.Task[Rated]) -> None:
        """Fail together with `rating`, so that nobody waits for answers that will not be rated."""
        if not rating.cancelled() and (error := rating.exception()) is not None:
            self.fail(error)

    async def __aiter__(self) -> AsyncGenerator[Answer, None]:
        while self._missing:
            arrived = await self._arrived.get()
            if isinstance(arrived, BaseException):
                raise arrived
            self._missing -= 1
            yield arrived


def _between(questions: Sequence[Question], interim_checks: Sequence[int]) -> list[Sequence[Question]]:
    """Return the questions, split at each interim check."""
    bounds = (0, *interim_checks, len(questions))
    return [questions[start:end] for start, end in pairwise(bounds)]


def _judgments(rated: Sequence[Rated]) -> list[Judgment]:
    return [judgment for _, judgments in rated for judgment in judgments]
