"""An engine in a separate process, whose crash affects neither other engines nor the run."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

from tvmerge.engines.remote.entry import Entry
from tvmerge.engines.remote.lost import EngineLostError
from tvmerge.engines.remote.messages import Row, pack, pack_recipe, unpack, unpack_error
from tvmerge.engines.remote.worker import LIMIT
from tvmerge.errors import UserError
from tvmerge.protocols import Engine
from tvmerge.records import Answer, Capabilities, Continuation, LogLikelihood, Question, Recipe, Sampling

REQUEST_TOKENS = 1 << 20
"""Maximum number of tokens per request of continuations, since a line of JSON is limited (`LIMIT`)."""

FAREWELL = 20.0
"""Seconds to wait for a worker to exit before it is killed."""


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
    """A client of a `worker` process; created by `start`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._last_words: deque[str] = deque(maxlen=40)
        self._listening = asyncio.create_task(self._listen())
        self._unread = False
        self._capabilities = Capabilities("", exact=False)
        self._remarks: tuple[str, ...] = ()

    @classmethod
    async def start(cls, entry: Entry, environment: Mapping[str, str] | None = None) -> Self:
        """Start a process and open an engine in it.

        Args:
            entry: Opens the engine in that process.
            environment: Environment variables to set in addition to this process's.

        Raises:
            UserError: The engine cannot be opened.
            EngineLostError: The process ended.
        """
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tvmerge.engines.remote.worker"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LIMIT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **(environment or {})},
            start_new_session=True,  # Ctrl-C is handled by the run
        )
        engine = cls(process)
        try:
            engine._capabilities = unpack(Capabilities, await engine._ask(asdict(entry)))
        except BaseException:
            await engine.close()
            raise
        return engine

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities of the engine in the process."""
        return self._capabilities

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
        """Ask the process to exit, and kill it if it does not."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), FAREWELL)
        # The whole process group, since engines may have started processes.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        await self._listening

    async def _ask(self, request: Row) -> Any:
        await self._send(request)
        return (await self._read())["end"]

    async def _send(self, request: Row) -> None:
        """Send a request, after reading replies that a cancelled caller left unread."""
        assert self._process.stdin is not None
        while self._unread:
            with contextlib.suppress(UserError):
                await self._read()
        self._unread = True
        self._write(request)
        with contextlib.suppress(ConnectionError):  # the missing reply reports the same
            await self._process.stdin.drain()

    def _write(self, request: Row) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")

    async def _read(self) -> Row:
        """Return the next reply to the last request."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line.endswith(b"\n"):
            self._unread = False
            raise EngineLostError(await self._cause())
        reply: Row = json.loads(line)
        self._unread = "item" in reply
        if "error" in reply:
            raise unpack_error(reply)
        return reply

    async def _listen(self) -> None:
        """Keep the last lines of the process's standard error."""
        assert self._process.stderr is not None
        with contextlib.suppress(ValueError):
            while line := await self._process.stderr.readline():
                self._last_words.append(line.decode(errors="replace").strip())

    async def _cause(self) -> str:
        """Return in a line why the process ended."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), FAREWELL)
        code = self._process.returncode
        words = [line for line in self._last_words if line]
        if code is not None and code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return f"ended with code {code}" + (f": {words[-1]}" if words else "")


if TYPE_CHECKING:
    _engine: type[Engine] = ProcessEngine
