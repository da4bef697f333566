"""A judge and an engine that take their time, or hold still, so that a run can be caught in the middle."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from tests.servers import rules
from tests.servers.http import Request
from tests.servers.openai_server import OpenAIServer, user_prompt
from tvmerge.protocols import Engine
from tvmerge.records import Answer, Capabilities, Continuation, LogLikelihood, Question, Recipe, Sampling


class SlowJudge(OpenAIServer):
    """Rates by the rules; can hold its answers back, or take a random while for each.

    Args:
        seed: Of the delays; None answers at once.

    Attributes:
        calls: Chats asked so far.
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(reply=rules.reply, gate=self._wait)
        self.calls = 0
        self._random = None if seed is None else random.Random(seed)
        self._answered_up_to = math.inf

    def prompts(self) -> list[str]:
        """What was asked, in order."""
        return [user_prompt(request) for request in self.requests if request.body]

    def hold_after(self, calls: int) -> None:
        """Answer that many chats, and no more before `release`."""
        self._answered_up_to = calls

    def release(self) -> None:
        """Answer again."""
        self._answered_up_to = math.inf

    async def _wait(self, request: Request) -> None:
        self.calls += request.body is not None
        place = self.calls
        while place > self._answered_up_to:
            await asyncio.sleep(0.005)
        if self._random is not None:
            await asyncio.sleep(self._random.uniform(0, 0.05))


class SlowEngine:
    """Takes a random while before each step of another engine; implements `tvmerge.protocols.Engine`."""

    def __init__(self, engine: Engine, seed: int) -> None:
        self._engine = engine
        self._random = random.Random(seed)

    @property
    def capabilities(self) -> Capabilities:
        """Those of the other engine."""
        return self._engine.capabilities

    async def apply(self, recipe: Recipe) -> None:
        """Become a candidate."""
        await self._wait()
        await self._engine.apply(recipe)

    async def generate(
        self, questions: Sequence[Question], sampling: Sampling
    ) -> AsyncGenerator[tuple[Answer, ...], None]:
        """Answer."""
        async with aclosing(self._engine.generate(questions, sampling)) as stream:
            async for answers in stream:
                await self._wait()
                yield answers

    async def loglikelihood(self, pairs: Sequence[Continuation]) -> Sequence[LogLikelihood]:
        """As the other engine."""
        return await self._engine.loglikelihood(pairs)

    async def close(self) -> None:
        """Free the other engine."""
        await self._engine.close()

    async def _wait(self) -> None:
        await asyncio.sleep(self._random.uniform(0, 0.2))
