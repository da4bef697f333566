"""A process that holds engines: `python -m tvmerge.engines.remote.worker`, used by `WorkerProcess`.

Requests are read from stdin and replies written to stdout, one JSON object per line. The first request is the
entry that opens an engine, or several that share a model; its reply has the capabilities of each. All others
have the number of their engine as `engine`, and so have the replies. Each engine gets, one at a time:

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
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, TextIO, TypeVar

from tvmerge._util.tasks import gather_or_cancel
from tvmerge.engines.remote.entry import Entry
from tvmerge.engines.remote.messages import Row, pack, pack_error, unpack, unpack_recipe
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
        engine: The engine.
        requests: Reads the requests.
        reply: Writes a reply.
    """

    def __init__(self, engine: Engine, requests: Requests, reply: Callable[[Row], None]) -> None:
        self._engine = engine
        self._requests = requests
        self._reply = reply

    async def serve(self) -> None:
        """Serve requests until cancelled."""
        while True:
            request = await self._requests.get()
            if request["do"] != "stop":  # a "stop" that came too late, after the stream had ended
                await self._answer(self._engine, request)

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


class Workers:
    """Serves all engines of a process.

    Args:
        requests: Reads the requests.
        replies: Writes the replies.
    """

    def __init__(self, requests: Requests, replies: TextIO) -> None:
        self._requests = requests
        self._replies = replies

    async def serve(self) -> None:
        """Open the engines and serve requests until cancelled, or until one of them fails."""
        entry = Entry(**await self._requests.get())
        try:
            opened: Engine | Sequence[Engine] = await asyncio.to_thread(entry.call)
        except UserError as error:
            self._reply(pack_error(error))
            return
        engines = opened if isinstance(opened, Sequence) else (opened,)
        self._reply({"end": [pack(engine.capabilities) for engine in engines]})
        queues: list[Requests] = [asyncio.Queue() for _ in engines]
        serving = [
            Worker(engine, queue, partial(self._reply_of, number)).serve()
            for number, (engine, queue) in enumerate(zip(engines, queues, strict=True))
        ]
        try:
            await gather_or_cancel([*serving, self._sort(queues)])
        finally:
            for engine in engines:
                await engine.close()

    async def _sort(self, queues: Sequence[Requests]) -> None:
        while True:
            request = await self._requests.get()
            queues[request.pop("engine")].put_nowait(request)

    def _reply_of(self, number: int, row: Row) -> None:
        self._reply({"engine": number, **row})

    def _reply(self, row: Row) -> None:
        self._replies.write(json.dumps(row) + "\n")
        self._replies.flush()


async def _main(replies: TextIO) -> None:
    reader = asyncio.StreamReader(limit=LIMIT)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    requests: Requests = asyncio.Queue()
    serving = asyncio.create_task(Workers(requests, replies).serve())
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
