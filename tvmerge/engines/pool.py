"""A pool of engines, which candidates take turns on and which are restarted after a crash.

The unanswered questions of a candidate whose engine crashed go to the first free engine. An engine that
crashes several times in a row without an answer is abandoned, and the run continues with the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Container,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from tvmerge._util.prefetch import read_ahead
from tvmerge._util.trace import ENGINE, Trace
from tvmerge.engines.remote.lost import EngineLostError
from tvmerge.engines.waves import doubling
from tvmerge.errors import ConfigError
from tvmerge.protocols import Engine, Pool, RemarkingEngine
from tvmerge.records import Answer, Continuation, LogLikelihood, Question, QuestionId, Recipe, Sampling

T = TypeVar("T")
EngineFactory = Callable[[], Awaitable[Engine]]
"""Starts an engine; `EngineLostError` counts as a crash of the engine."""

PATIENCE = 3
"""Number of crashes in a row, without an answer in between, after which an engine is abandoned."""


@dataclass(slots=True)
class _Slot:
    """A place for an engine, started when it is first needed and restarted after each crash.

    `recipe` is what the engine is now, or None if that is unknown.
    """

    name: str
    start: EngineFactory
    engine: Engine | None = None
    recipe: Recipe | None = None
    deaths: int = 0


class EnginePool:
    """A `tvmerge.protocols.Pool` of engines that are started on use.

    Args:
        engine_factories: How to start each engine, by a name that says where it runs.
        trace: Takes note of what each engine does when.
        note: Tells the user something in passing.
    """

    def __init__(
        self,
        engine_factories: Mapping[str, EngineFactory],
        *,
        trace: Trace | None = None,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._slots = [_Slot(name, start) for name, start in engine_factories.items()]
        # None means that no engine is left.
        self._free: asyncio.Queue[_Slot | None] = asyncio.Queue()
        self._trace = trace or Trace()
        self._note = note
        self._told: set[tuple[str, str]] = set()
        for slot in self._slots:
            self._trace.declare(_track(slot))
            self._free.put_nowait(slot)

    def answer(
        self,
        recipe: Recipe,
        questions: Sequence[Question],
        sampling: Sampling,
        *,
        wave: int | None = None,
    ) -> AsyncGenerator[tuple[Answer, ...], None]:
        """Answer on the first free engine, and after a crash continue on another.

        The engine does not wait for its answers to be consumed: they are read ahead, and the engine is free
        for the next candidate once its last answer is generated.
        """
        return read_ahead(self._answers(recipe, questions, sampling, wave))

    async def loglikelihood(self, recipe: Recipe, pairs: Sequence[Continuation]) -> Sequence[LogLikelihood]:
        """Rate on the first free engine, and after a crash start over on another."""
        while True:
            async with self._leased() as slot:
                try:
                    engine = await self._become(slot, recipe)
                    with self._trace.span(_track(slot), "rate", recipe):
                        found = await engine.loglikelihood(pairs)
                    slot.deaths = 0
                except EngineLostError as lost:
                    await self._bury(slot, lost)
                else:
                    return found

    async def close(self) -> None:
        """Close every engine that was started, even if closing one of them fails.

        Engines that are used again start again.
        """
        async with AsyncExitStack() as last:
            for slot in self._slots:
                if slot.engine is not None:
                    last.push_async_callback(slot.engine.close)
                    slot.engine = slot.recipe = None

    async def _answers(
        self, recipe: Recipe, questions: Sequence[Question], sampling: Sampling, wave: int | None
    ) -> AsyncGenerator[tuple[Answer, ...], None]:
        told: set[tuple[QuestionId, int]] = set()
        waves = doubling(questions, wave or len(questions))
        while waves:
            async with self._leased() as slot:
                stream = self._stream(slot, recipe, waves, sampling)
                async with aclosing(stream):
                    async for answers in stream:
                        fresh = tuple(a for a in answers if (a.question_id, a.sample) not in told)
                        told.update((a.question_id, a.sample) for a in fresh)
                        if fresh:
                            yield fresh
            waves = _unanswered(waves, told, sampling.samples)

    async def _stream(
        self, slot: _Slot, recipe: Recipe, waves: Iterable[Sequence[Question]], sampling: Sampling
    ) -> AsyncGenerator[tuple[Answer, ...], None]:
        """Yield the answers of the slot's engine, wave by wave; end early if it crashes."""
        try:
            engine = await self._become(slot, recipe)
            for wave in waves:
                async with aclosing(engine.generate(wave, sampling)) as stream:
                    # Only the time spent waiting for the engine counts as its work.
                    while (answers := await self._timed(slot, recipe, anext(stream, None))) is not None:
                        slot.deaths = 0
                        yield answers
        except EngineLostError as lost:
            await self._bury(slot, lost)

    async def _timed(self, slot: _Slot, recipe: Recipe, answering: Awaitable[T]) -> T:
        with self._trace.span(_track(slot), "answer", recipe):
            return await answering

    async def _become(self, slot: _Slot, recipe: Recipe) -> Engine:
        if slot.engine is None:
            with self._trace.span(_track(slot), "start", recipe):
                slot.engine = await slot.start()
        if slot.recipe != recipe:
            slot.recipe = None
            with self._trace.span(_track(slot), "merge", recipe):
                await slot.engine.apply(recipe)
            slot.recipe = recipe
            self._tell_remarks(slot.name, slot.engine)
        return slot.engine

    def _tell_remarks(self, name: str, engine: object) -> None:
        """Report an engine's remarks, each once per slot."""
        for line in engine.remarks if isinstance(engine, RemarkingEngine) else ():
            if (name, line) not in self._told:
                self._told.add((name, line))
                self._note(line)

    async def _bury(self, slot: _Slot, lost: EngineLostError) -> None:
        """Free the slot for a new engine, or abandon it."""
        slot.deaths += 1
        if slot.engine is not None:
            await slot.engine.close()
            slot.engine = slot.recipe = None
        if slot.deaths < PATIENCE:
            self._note(f"the engine on {slot.name} crashed and is restarted: {lost}")
            return
        self._slots.remove(slot)
        if not self._slots:
            raise ConfigError(
                f"the engine on {slot.name} crashed {PATIENCE} times without an answer in between: {lost}"
            ) from lost
        self._note(f"the engine on {slot.name} is abandoned after crashing {PATIENCE} times: {lost}")

    @asynccontextmanager
    async def _leased(self) -> AsyncIterator[_Slot]:
        """Borrow the engine that has been free the longest; serve callers in the order of their calls."""
        slot = await self._free.get()
        if slot is None:
            self._free.put_nowait(None)
            raise ConfigError("every engine was abandoned")
        try:
            yield slot
        finally:
            if slot in self._slots or not self._slots:
                self._free.put_nowait(slot if self._slots else None)


def _unanswered(
    waves: Sequence[Sequence[Question]], told: Container[tuple[QuestionId, int]], samples: int
) -> list[Sequence[Question]]:
    """Return the questions of each wave that lack an answer, without waves that are done."""
    lacking = [[q for q in w if any((q.question_id, n) not in told for n in range(samples))] for w in waves]
    return [questions for questions in lacking if questions]


def _track(slot: _Slot) -> str:
    return f"{ENGINE} {slot.name}"


if TYPE_CHECKING:
    _pool: type[Pool] = EnginePool
