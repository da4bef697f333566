"""Counts the requests that a run would send to its judges, without sending them."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count as numbers
from typing import TYPE_CHECKING

from tvmerge.judging.client.request_counter import Calls, RequestCounter
from tvmerge.records import Answer, Question, QuestionId, Recipe, Sampling

if TYPE_CHECKING:
    from tvmerge.engines.answer_store import StoredAnswers
    from tvmerge.tasks.suite import TaskSuite

CallsByJudge = Mapping[str, Calls]


@dataclass(frozen=True, slots=True)
class RequestCount:
    """What candidates still need, at most, and what is stored.

    Attributes:
        answers: Number of answers to generate.
        calls: Requests to each judge.
        stored_answers: Number of stored answers.
        stored_replies: Number of stored replies of judges to these answers.
    """

    answers: int = 0
    calls: CallsByJudge = field(default_factory=dict)
    stored_answers: int = 0
    stored_replies: int = 0

    def __add__(self, other: RequestCount) -> RequestCount:
        return RequestCount(
            self.answers + other.answers,
            added((self.calls, other.calls)),
            self.stored_answers + other.stored_answers,
            self.stored_replies + other.stored_replies,
        )

    def __mul__(self, times: int) -> RequestCount:
        return RequestCount(
            self.answers * times,
            {judge: calls * times for judge, calls in self.calls.items()},
            self.stored_answers * times,
            self.stored_replies * times,
        )

    @property
    def calls_alone(self) -> RequestCount:
        """The requests to judges, without the answers."""
        return RequestCount(calls=self.calls)

    def share(self, fraction: float) -> RequestCount:
        """Return what is expected if each answer and each call is needed with this probability."""
        return RequestCount(
            math.ceil(self.answers * fraction),
            {judge: calls.share(fraction) for judge, calls in self.calls.items()},
            self.stored_answers,
            self.stored_replies,
        )


class RequestEstimator:
    """Passes answers to the judges and counts the requests they would send.

    An unknown answer is represented by a text of given length. Each byte of a request is counted as a token
    (`tvmerge.judging.client.tokens`), so a text of as many bytes as an answer may have tokens counts as the
    longest answer.

    Args:
        suite: The judges, built with `counter`.
        counter: Counts the requests.
        length: Bytes of a turn of an unknown answer.
        stored: The stored answers; None if they cannot be known.
        baseline: The known answers of the baseline, for pairwise judging.
    """

    def __init__(
        self,
        suite: TaskSuite,
        counter: RequestCounter,
        length: int,
        stored: StoredAnswers | None,
        baseline: Mapping[QuestionId, Answer],
    ) -> None:
        self._suite = suite
        self._counter = counter
        self._length = length
        self._stored = stored
        self._baseline = baseline
        self._rated = {question.question_id for question in suite.rated_questions}
        self._most: dict[QuestionId, CallsByJudge] = {}

    async def check(self) -> RequestCount:
        """Count the requests of the test answer that each judge rates before models are loaded."""
        await self._suite.count_check()
        calls, _ = self._counter.take()
        return RequestCount(calls=calls)

    async def unknown(self, questions: Sequence[Question], samples: int = 1) -> RequestCount:
        """Return what an unknown candidate needs at most."""
        calls = []
        for question in questions:
            calls.append(await self._most_for(question))
            await asyncio.sleep(0)  # so that Ctrl-C ends a plan of very long answers
        return RequestCount(len(questions), added(calls)) * samples

    async def known(self, recipe: Recipe, questions: Sequence[Question], sampling: Sampling) -> RequestCount:
        """Return what `recipe` needs at most for what is not stored.

        An answer that is not stored, or whose replies are not all stored, counts with all calls that an
        answer to its question can take.
        """
        if self._stored is None:
            return await self.unknown(questions, sampling.samples)
        asked = {question.question_id: question for question in questions}
        found, missing = self._stored.look_up(recipe, questions, sampling)
        count = await self.unknown(missing, sampling.samples)
        for answer in found:
            count += await self._judging(asked[answer.question_id], answer)
        return count

    async def _judging(self, question: Question, answer: Answer) -> RequestCount:
        """Return what judging a stored answer takes."""
        baseline = self._baseline.get(question.question_id)
        if self._suite.compares and baseline is None:
            return RequestCount(0, await self._most_for(question), stored_answers=1)
        sent, replies = await self._put(question, answer, baseline)
        calls = await self._most_for(question) if sent else {}
        return RequestCount(0, calls, stored_answers=1, stored_replies=replies)

    async def _most_for(self, question: Question) -> CallsByJudge:
        if question.question_id not in self._most:
            said, other = stand_ins(self._length)
            answer, baseline = (
                Answer(question.question_id, (text,) * len(question.turns)) for text in (said, other)
            )
            self._most[question.question_id], _ = await self._put(question, answer, baseline)
        return self._most[question.question_id]

    async def _put(
        self, question: Question, answer: Answer, baseline: Answer | None
    ) -> tuple[CallsByJudge, int]:
        """Return the requests for judging an answer, and the number of stored replies."""
        if question.question_id not in self._rated:
            return {}, 0
        suite = (
            self._suite if baseline is None else self._suite.with_baseline({question.question_id: baseline})
        )
        await suite.judge.judge(question, answer)
        return self._counter.take()


def turns_of(questions: Iterable[Question]) -> int:
    """Return the number of turns that are judged of answers to these questions."""
    return sum(len(question.turns) for question in questions)


def added(parts: Iterable[CallsByJudge]) -> CallsByJudge:
    """Return the sum for each judge."""
    total: dict[str, Calls] = defaultdict(Calls)
    for part in parts:
        for judge, calls in part.items():
            total[judge] += calls
    return dict(total)


@lru_cache(maxsize=4)
def stand_ins(length: int) -> tuple[str, str]:
    """Return two different texts of `length` bytes, both of which need a judge."""
    words: list[str] = []
    room = length + 1  # no space follows the last word
    for number in numbers():
        if room <= 0:
            break
        words.append(str(number))
        room -= len(words[-1]) + 1
    text = " ".join(words)
    return text[:length], f"-{text}"[:length]
