"""An engine and a judge that do as they are told, at their own pace, for tests of the loop between them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence

from tvmerge.engines.pool import EnginePool, Start
from tvmerge.errors import CredentialsError
from tvmerge.protocols import Engine
from tvmerge.records import (
    Answer,
    Capabilities,
    Continuation,
    Judgment,
    LogLikelihood,
    Question,
    Rating,
    Recipe,
    Sampling,
)
from tvmerge.study.space import Space

SPACE = Space(("a", "b"), 0.0, 2.0)
QUESTIONS = tuple(Question(i, "writing", ("q",)) for i in range(6))


class Clock:
    """Lets a seeded number of turns of the event loop pass, instead of time."""

    def __init__(self, seed: int | None) -> None:
        self._random = random.Random(seed)
        self._still = seed is None

    async def wait(self) -> None:
        for _ in range(0 if self._still else self._random.randrange(6)):
            await asyncio.sleep(0)


class ScriptedEngine:
    """Answers with its weights; notes who held it when."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._recipe = Recipe()
        self.busy = 0
        self.log: list[str] = []

    capabilities = Capabilities("scripted", exact=True)

    async def loglikelihood(self, pairs: Sequence[Continuation]) -> Sequence[LogLikelihood]:
        return [LogLikelihood(-1.0, greedy=False) for _ in pairs]

    async def apply(self, recipe: Recipe) -> None:
        assert self.busy == 0
        self._recipe = recipe
        self.log.append("apply")
        await self._clock.wait()

    async def generate(
        self, questions: Sequence[Question], sampling: Sampling
    ) -> AsyncGenerator[tuple[Answer, ...], None]:
        self.busy += 1
        mine = self._recipe
        try:
            for question in reversed(questions):
                await self._clock.wait()
                assert mine is self._recipe
                self.log.append(f"answer {question.question_id}")
                yield (Answer(question.question_id, (str(sum(mine.weights.values())),)),)
        finally:
            self.busy -= 1

    async def close(self) -> None:
        pass


def pool_of(*engines: Engine) -> EnginePool:
    def starting(engine: Engine) -> Start:
        async def start() -> Engine:
            return engine

        return start

    return EnginePool({str(number): starting(engine) for number, engine in enumerate(engines)})


class ScriptedJudge:
    """Rates the answer's number; can be held back, and can fail."""

    name = "scripted"

    def __init__(
        self, clock: Clock, *, gate: asyncio.Event | None = None, fail_at: int | None = None
    ) -> None:
        self.fingerprint: dict[str, object] = {}
        self._clock = clock
        self._gate = gate
        self._fail_at = fail_at
        self.started = self.finished = 0

    async def judge(self, question: Question, answer: Answer) -> Sequence[Judgment]:
        self.started += 1
        if self.started == self._fail_at:
            raise CredentialsError("the key was refused")
        if self._gate is not None:
            await self._arrival(self._gate)
        await self._clock.wait()
        self.finished += 1
        score = 10 - abs(float(answer.turns[0]) - 1.5)
        return [Rating(question.question_id, 1, score, self.name, "p")]

    async def _arrival(self, gate: asyncio.Event) -> None:
        """What is on the wire arrives despite a first cancellation, as with every real judge."""
        try:
            await gate.wait()
        except asyncio.CancelledError:
            await gate.wait()

    async def close(self) -> None:
        pass
