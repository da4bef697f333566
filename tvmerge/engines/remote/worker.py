"""A process that holds one engine: `python -m tvmerge.engines.remote.worker`, used by `ProcessEngine`.

Requests are read from stdin and replies written to stdout, one JSON object per line. The first request is the
entry that opens the engine; its reply has the engine's capabilities. Then follow, one at a time:

    {"do": "apply", "recipe": ...}                          {"end": [...]}
    {"do": "loglikelihood", "pairs": [...]}                 {"end": [...]}
    {"do": "generate", "questions": [...], "sampling": ...} {"item": [...]} ... {"end": null}

After each item the worker waits for {"do": "more"} or {"do": "stop"} before it sends the next, so it is at
most one batch ahead of its reader. {"do": "stop"} may come at any time and ends the current batch. Errors
that users can read are sent as replies. Any other error ends the process, because its device may be in an
undefined state; so does the end of stdin, because the parent process is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Awaitable
from contextlib import aclosing
from typing import Any, TextIO, TypeVar

from tvmerge.engines.remote.entry import Entry
from tvmerge.engines.remote.messages import pack, pack_error, unpack, unpack_recipe
from tvmerge.errors import UserError
from tvmerge.protocols import Engine, RemarkingEngine
from tvmerge.records import Continuation, Question, Sampling

LIMIT = 2**26
"""Maximum number of bytes of a line."""

T = TypeVar("T")
Requests = asyncio.Queue[dict[str, Any]]


class Worker:
    """Serves one engine.

    Args:
        requests: Reads the requests.
        replies: Writes the replies.
    """

    def __init__(self, requests: Requests, replies: TextIO) -> None:
        self._requests = requests
        self._replies = replies

    async def serve(self) -> None:
        """Open the engine and serve requests until cancelled."""
        entry = Entry(**await self._requests.get())
        try:
            engine: Engine = await asyncio.to_thread(entry.call)
        except UserError as error:
            self._reply(pack_error(error))
            return
        self._reply({"end": pack(engine.capabilities)})
        try:
            while True:
                request = await self._requests.get()
                if request["do"] != "stop":  # a "stop" that came too late, after the stream had ended
                    await self._answer(engine, request)
        finally:
            await engine.close()

    async def _answer(self, engine: Engine, request: dict[str, Any]) -> None:
        try:
            self._reply({"end": await self._do(engine, request)})
        except UserError as error:
            self._reply(pack_error(error))

    async def _do(self, engine: Engine, request: dict[str, Any]) -> Any:
        match request["do"]:
            case "apply":
                await engine.apply(unpack_recipe(request["recipe"]))
                return list(engine.remarks) if isinstance(engine, RemarkingEngine) else []
            case "generate":
                await self._generate(engine, request)
            case "loglikelihood":
                pairs = [unpack(Continuation, row) for row in request["pairs"]]
                return [pack(found) for found in await engine.loglikelihood(pairs)]
        return None

    async def _generate(self, engine: Engine, request: dict[str, Any]) -> None:
        questions = [unpack(Question, row) for row in request["questions"]]
        sampling = unpack(Sampling, request["sampling"])
        async with aclosing(engine.generate(questions, sampling)) as stream:
            while (answers := await self._unless_stopped(anext(stream, None))) is not None:
                self._reply({"item": [pack(answer) for answer in answers]})
                if (await self._requests.get())["do"] == "stop":
                    return

    async def _unless_stopped(self, answering: Awaitable[T]) -> T | None:
        """Return the result of `answering`; None if the reader asks to stop first."""
        work = asyncio.ensure_future(answering)
        stop = asyncio.ensure_future(self._requests.get())
        try:
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
            answers = work.result() if work.done() else None
            return None if stop.done() else answers
        finally:
            for task in (work, stop):
                task.cancel()
            await asyncio.wait({work, stop})

    def _reply(self, row: dict[str, Any]) -> None:
        self._replies.write(json.dumps(row) + "\n")
        self._replies.flush()


async def _main(replies: TextIO) -> None:
    reader = asyncio.StreamReader(limit=LIMIT)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    requests: Requests = asyncio.Queue()
    serving = asyncio.create_task(Worker(requests, replies).serve())
    reading = asyncio.create_task(_read(reader, requests))
    await asyncio.wait({serving, reading}, return_when=asyncio.FIRST_COMPLETED)
    reading.cancel()
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError, BrokenPipeError):
        await serving


async def _read(reader: asyncio.StreamReader, requests: Requests) -> None:
    """Queue requests until stdin ends."""
    while line := await reader.readline():
        requests.put_nowait(json.loads(line))


def main() -> None:
    """Serve on stdout, and redirect everything else that is printed there to stderr."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    asyncio.run(_main(replies))


if __name__ == "__main__":
    main()
