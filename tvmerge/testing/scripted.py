"""An engine and a judge that follow a script and need no model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from tvmerge._util.canonical import digest
from tvmerge.errors import CredentialsError
from tvmerge.records import (
    Answer,
    Capabilities,
    Continuation,
    Finish,
    Judgment,
    LogLikelihood,
    Question,
    Rating,
    Recipe,
    Sampling,
)

if TYPE_CHECKING:
    from tvmerge.protocols import IdentifiedEngine, Judge

_BEST = 0.75
"""The mean weight that a scripted judge rates highest by default."""


class Clock:
    """Waits for a seeded number of iterations of the event loop instead of seconds.

    Args:
        seed: Seed of the number of iterations; None for no wait at all.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._seed = seed
        self._waits = 0

    async def wait(self) -> None:
        """Wait for the next number of iterations."""
        if self._seed is None:
            return
        self._waits += 1
        for _ in range(int(digest([self._seed, self._waits])[:8], 16) % 6):
            await asyncio.sleep(0)


def mean_weight(recipe: Recipe, question: Question) -> str:
    """Answer any question with the mean of a recipe's weights."""
    return str(sum(recipe.weights.values()) / max(1, len(recipe.weights)))


def closeness(question: Question, answer: Answer, turn: int) -> float:
    """Rate an answer of 0.75 with 10, and other numbers lower the farther away they are, down to 1."""
    return max(1.0, 10 - 2 * abs(float(answer.turns[turn - 1]) - _BEST))


class ScriptedEngine:
    """An engine that loads no model and gives scripted answers; raises on concurrent use.

    Args:
        clock: How long it takes for each answer.
        answering: Returns a recipe's answer to a question, used for each turn.
        fingerprint: Distinguishes its answers from those of other engines.

    Attributes:
        log: What it did: `apply`, and `answer <question>` for each answer.
        busy: How many streams of answers are open.

    Examples:
        >>> import tvmerge
        >>> engine = tvmerge.testing.ScriptedEngine(answering=lambda recipe, question: question.turns[0])
        >>> engine.capabilities.engine, engine.fingerprint["name"]
        ('scripted', 'scripted')
    """

    capabilities = Capabilities("scripted", exact=True)

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        answering: Callable[[Recipe, Question], str] = mean_weight,
        fingerprint: Mapping[str, object] = MappingProxyType({"name": "scripted"}),
    ) -> None:
        self.fingerprint = fingerprint
        self._clock = clock or Clock()
        self._answering = answering
        self._recipe = Recipe()
        self.busy = 0
        self.log: list[str] = []

    async def apply(self, recipe: Recipe) -> None:
        """Store the recipe."""
        assert self.busy == 0, "apply while generate runs"
        self._recipe = recipe
        self.log.append("apply")
        await self._clock.wait()

    async def generate(
        self, questions: Sequence[Question], sampling: Sampling
    ) -> AsyncGenerator[tuple[Answer, ...], None]:
        """Answer the questions one by one, the last one first."""
        self.busy += 1
        mine = self._recipe
        try:
            for question in reversed(questions):
                await self._clock.wait()
                assert mine is self._recipe, "apply while generate runs"
                self.log.append(f"answer {question.question_id}")
                turns = (self._answering(mine, question),) * len(question.turns)
                ends: tuple[Finish, ...] = tuple("stop" for _ in turns)
                yield tuple(
                    Answer(question.question_id, turns, ends, sample) for sample in range(sampling.samples)
                )
        finally:
            self.busy -= 1

    async def loglikelihood(self, pairs: Sequence[Continuation]) -> Sequence[LogLikelihood]:
        """Return the same likelihood for each pair."""
        return [LogLikelihood(-1.0, greedy=False) for _ in pairs]

    async def close(self) -> None:
        """Nothing to free."""


class ScriptedJudge:
    """A judge with scripted ratings that can be blocked or made to fail.

    Args:
        clock: How long it takes for each answer.
        rating: Returns the rating of a turn, counted from 1, of an answer to a question.
        name: Its name.
        scale: Its lowest and highest rating.
        gate: An event to wait for before rating anything.
        fail_at: Which of its calls fails, counted from 1; None for no call.
        error: The exception that this call raises.

    Attributes:
        started: Number of calls that have begun.
        finished: Number of calls that returned a rating.

    Examples:
        >>> import asyncio, tvmerge
        >>> judge = tvmerge.testing.ScriptedJudge(rating=lambda question, answer, turn: 4.0 + turn)
        >>> question = tvmerge.Question(1, "math", ("1+1?", "2+2?"))
        >>> [r.score for r in asyncio.run(judge.judge(question, tvmerge.Answer(1, ("2", "4"))))]
        [5.0, 6.0]
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        rating: Callable[[Question, Answer, int], float] = closeness,
        name: str = "scripted",
        scale: tuple[float, float] = (1.0, 10.0),
        gate: asyncio.Event | None = None,
        fail_at: int | None = None,
        error: Exception | None = None,
    ) -> None:
        self.name = name
        self.scale = scale
        self.fingerprint: Mapping[str, object] = {"name": name, "scale": list(scale)}
        self._clock = clock or Clock()
        self._rating = rating
        self._gate = gate
        self._fail_at = fail_at
        self._error = error or CredentialsError("the key was refused")
        self.started = self.finished = 0

    async def judge(self, question: Question, answer: Answer) -> Sequence[Judgment]:
        """Rate every turn.

        Raises:
            Exception: `error`, in call `fail_at`.
        """
        self.started += 1
        if self.started == self._fail_at:
            raise self._error
        if self._gate is not None:
            await self._arrival(self._gate)
        await self._clock.wait()
        self.finished += 1
        return [
            Rating(question.question_id, turn, self._rating(question, answer, turn), self.name, "scripted")
            for turn in range(1, len(answer.turns) + 1)
        ]

    async def close(self) -> None:
        """Nothing to free."""

    async def _arrival(self, gate: asyncio.Event) -> None:
        """Wait for the gate despite a first cancellation, as a real judge waits for requests already sent."""
        try:
            await gate.wait()
        except asyncio.CancelledError:
            await gate.wait()


if TYPE_CHECKING:
    _engine: type[IdentifiedEngine] = ScriptedEngine
    _judge: type[Judge] = ScriptedJudge
