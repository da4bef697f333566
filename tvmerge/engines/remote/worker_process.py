"""A process that holds engines: its start, its end, and which reply is for which engine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Self

from tvmerge.engines.remote.entry import Entry
from tvmerge.engines.remote.lost import EngineLostError
from tvmerge.engines.remote.messages import Row, unpack, unpack_error
from tvmerge.engines.remote.worker import LIMIT
from tvmerge.records import Capabilities

FAREWELL = 20.0
"""Seconds to wait for a worker to exit before it is killed."""


class WorkerProcess:
    """A `worker` process and the engines in it; created by `start`.

    Attributes:
        capabilities: What each of its engines can do.
        lost: Whether it has ended.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._last_words: deque[str] = deque(maxlen=40)
        self._listening = asyncio.create_task(self._listen())
        self._sorting: asyncio.Task[None] | None = None
        self._replies: list[asyncio.Queue[Row | None]] = []
        self._users: set[int] = set()
        self.capabilities: Sequence[Capabilities] = ()
        self.lost = False

    @classmethod
    async def start(cls, entry: Entry, environment: Mapping[str, str] | None = None) -> Self:
        """Start a process and open the engines in it.

        Args:
            entry: Opens an engine in that process, or several that share a model.
            environment: Environment variables to set in addition to this process's.

        Raises:
            UserError: The engines cannot be opened.
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
        worker = cls(process)
        try:
            await worker._open(entry)
        except BaseException:
            await worker.close()
            raise
        return worker

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def use(self, number: int) -> None:
        """Note that one of its engines is used."""
        self._users.add(number)

    async def release(self, number: int) -> None:
        """Note that one of its engines is not used any more; the process ends with the last."""
        self._users.discard(number)
        if not self._users:
            await self.close()

    def write(self, request: Row) -> None:
        """Write a request."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")

    async def drain(self) -> None:
        """Wait until requests are on their way."""
        assert self._process.stdin is not None
        with contextlib.suppress(ConnectionError):  # the missing reply reports the same
            await self._process.stdin.drain()

    async def read(self, number: int) -> Row:
        """Return the next reply of an engine.

        Raises:
            EngineLostError: The process ended.
        """
        reply = await self._replies[number].get()
        if reply is None:
            self._replies[number].put_nowait(None)
            raise EngineLostError(await self._cause())
        return reply

    async def close(self) -> None:
        """Ask the process to exit, and kill it if it does not."""
        self.lost = True
        if self._process.stdin is not None:
            self._process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), FAREWELL)
        # The whole process group, since engines may have started processes.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        await self._listening
        if self._sorting is not None:
            await self._sorting

    async def _open(self, entry: Entry) -> None:
        self.write(asdict(entry))
        await self.drain()
        reply = await self._read()
        if reply is None:
            raise EngineLostError(await self._cause())
        if "error" in reply:
            raise unpack_error(reply)
        self.capabilities = [unpack(Capabilities, row) for row in reply["end"]]
        self._replies = [asyncio.Queue() for _ in self.capabilities]
        self._sorting = asyncio.create_task(self._sort())

    async def _sort(self) -> None:
        """Give each reply to the engine that it is for, and None to all once the process has ended."""
        try:
            while (reply := await self._read()) is not None:
                self._replies[reply.pop("engine")].put_nowait(reply)
        finally:
            self.lost = True
            for queue in self._replies:
                queue.put_nowait(None)

    async def _read(self) -> Row | None:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        return json.loads(line) if line.endswith(b"\n") else None

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
