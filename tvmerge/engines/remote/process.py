"""A client of an engine in a separate process, whose crash affects neither other engines nor the run."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from tvmerge.engines.remote.entry import Entry
from tvmerge.engines.remote.lost import EngineLostError
from tvmerge.engines.remote.messages import Row, pack, pack_recipe, unpack, unpack_error
from tvmerge.engines.remote.worker_process import WorkerProcess
from tvmerge.errors import UserError
from tvmerge.protocols import Engine
from tvmerge.records import Answer, Capabilities, Continuation, LogLikelihood, Question, Recipe, Sampling

REQUEST_TOKENS = 1 << 20
"""Maximum number of tokens per request of continuations, since a line of JSON is limited (`LIMIT`)."""


def _portions(pairs: Sequence[Continuation]) -> Iterator[Sequence[Continuation]]:
    """Yield the pairs in order, in portions of at most `REQUEST_TOKENS` tokens."""
    start = tokens = 0
    for index, pair in enumerate(pairs):
        size = len(pair.context) + len(pair.tokens)
        if index > start and tokens + size > REQUEST_TOKENS:
            yield pairs[start:index]
            start, tokens = index, 0
        tokens += size
    if pairs:
        yield pairs[start:]


class ProcessEngine:
    """A client of an engine in a `WorkerProcess`.

    Args:
        worker: The process.
        number: The number of the engine in it.
    """

    def __init__(self, worker: WorkerProcess, number: int = 0) -> None:
        self._worker = worker
        self._number = number
        self._unread = False
        self._remarks: tuple[str, ...] = ()
        worker.use(number)

    @classmethod
    async def start(cls, entry: Entry, environment: Mapping[str, str] | None = None) -> Self:
        """Start a process of its own and open an engine in it; see `WorkerProcess.start`."""
        return cls(await WorkerProcess.start(entry, environment))

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._worker.pid

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities of the engine in the process."""
        return self._worker.capabilities[self._number]

    async def apply(self, recipe: Recipe) -> None:
        """Make the engine the merged model of `recipe`."""
        self._remarks = tuple(await self._ask({"do": "apply", "recipe": pack_recipe(recipe)}))

    @property
    def remarks(self) -> Sequence[str]:
        """The remarks of the engine in the process."""
        return self._remarks

    async def generate(
        self, questions: Sequence[Question], sampling: Sampling
    ) -> AsyncGenerator[tuple[Answer, ...], None]:
        """Yield the engine's answers, while it already works on the next batch."""
        rows = [pack(question) for question in questions]
        try:
            await self._send({"do": "generate", "questions": rows, "sampling": pack(sampling)})
            while "item" in (reply := await self._read()):
                self._write({"do": "more"})
                yield tuple(unpack(Answer, row) for row in reply["item"])
        finally:
            if self._unread:
                self._write({"do": "stop"})

    async def loglikelihood(self, pairs: Sequence[Continuation]) -> Sequence[LogLikelihood]:
        """Have the engine rate continuations, as many per request as fit."""
        rows: list[Row] = []
        for portion in _portions(pairs):
            rows += await self._ask({"do": "loglikelihood", "pairs": [pack(pair) for pair in portion]})
        return [unpack(LogLikelihood, row) for row in rows]

    async def close(self) -> None:
        """End the process, unless other engines in it are in use."""
        await self._worker.release(self._number)

    async def _ask(self, request: Row) -> Any:
        await self._send(request)
        return (await self._read())["end"]

    async def _send(self, request: Row) -> None:
        """Send a request, after reading replies that a cancelled caller left unread."""
        while self._unread:
            with contextlib.suppress(UserError):
                await self._read()
        self._unread = True
        self._write(request)
        await self._worker.drain()

    def _write(self, request: Row) -> None:
        self._worker.write({"engine": self._number, **request})

    async def _read(self) -> Row:
        """Return the next reply to the last request."""
        try:
            reply = await self._worker.read(self._number)
        except EngineLostError:
            self._unread = False
            raise
        self._unread = "item" in reply
        if "error" in reply:
            raise unpack_error(reply)
        return reply


class SharedProcess:
    """Engines that share a process, which is started with the first of them and again after a crash.

    Args:
        entry: Opens them.
        environment: Environment variables to set in addition to this process's.
    """

    def __init__(self, entry: Entry, environment: Mapping[str, str]) -> None:
        self._entry = entry
        self._environment = environment
        self._lock = asyncio.Lock()
        self._worker: WorkerProcess | None = None

    async def engine(self, number: int) -> ProcessEngine:
        """Return one of the engines, in the process of the others or, if that has ended, in a new one.

        Raises:
            UserError: The engines cannot be opened.
            EngineLostError: The process ended.
        """
        async with self._lock:
            if self._worker is None or self._worker.lost:
                self._worker = await WorkerProcess.start(self._entry, self._environment)
            return ProcessEngine(self._worker, number)


if TYPE_CHECKING:
    _engine: type[Engine] = ProcessEngine
