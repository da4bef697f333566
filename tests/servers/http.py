"""A real HTTP/1.1 server on the loopback interface, in a separate thread, with faults on demand."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

Breakage = Literal["reset", "stall", "truncate", "drip"]


@dataclass(frozen=True)
class Request:
    """What a client sent; `body` is its parsed JSON, the bytes of a form, or None for an empty one."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any = None


@dataclass(frozen=True)
class Response:
    """What is sent back.

    Attributes:
        body: JSON data, or a text or bytes that are sent as they are.
        breakage: `reset` closes the connection unanswered, `stall` never answers, `truncate` sends half the
            body that was announced and closes, `drip` sends a byte now and then and never ends.
    """

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    breakage: Breakage | None = None
    content_type: str = "application/json"


class LoopbackServer:
    """Serves `handle` until the `with` block ends; subclasses speak a protocol.

    Attributes:
        requests: Every request read whole, in order, broken answers included.
        answered: How many were answered in full with status 200.
        in_flight: How many are being answered now.
        peak: The most that were being answered at once.
    """

    def __init__(self, *, gate: Callable[[Request], Any] | None = None) -> None:
        self.requests: list[Request] = []
        self.answered = 0
        self.in_flight = 0
        self.peak = 0
        self._gate = gate
        self._loop = asyncio.new_event_loop()
        self._connections: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()
        self.port = 0

    def handle(self, request: Request) -> Response:
        """The answer to a request; runs in the server's thread."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """Root of the server, without a trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """What a client is told to use as `base_url`."""
        return self.url

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *exception: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while (request := await _read(reader)) is not None and await self._answer(request, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False when the connection is to be closed."""
        self.requests.append(request)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            if self._gate is not None:
                await self._gate(request)
            return await self._write(self.handle(request), writer)
        finally:
            self.in_flight -= 1

    async def _drip(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
        while not self._stop.is_set():
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.02)

    async def _write(self, response: Response, writer: asyncio.StreamWriter) -> bool:
        if response.breakage == "reset":
            return False
        if response.breakage == "stall":
            await self._stop.wait()
        if response.breakage == "drip":
            await self._drip(writer)
        payload = _payload(response.body)
        headers = {
            "content-type": response.content_type,
            "content-length": str(len(payload)),
            **response.headers,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 {response.status} Status\r\n{lines}\r\n".encode())
        if response.breakage == "truncate":
            writer.write(payload[: len(payload) // 2])
            await writer.drain()
            return False
        # Counted before it leaves, at once in `write`: a client that has its answer finds it counted.
        self.answered += response.status == 200
        writer.write(payload)
        await writer.drain()
        return True


def _payload(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    return (body if isinstance(body, str) else json.dumps(body)).encode()


async def _read(reader: asyncio.StreamReader) -> Request | None:
    head = await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b""
    if not head:
        return None
    first, *lines = head.decode().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines)
        if name
    }
    raw = await reader.readexactly(int(headers.get("content-length", "0")))
    if headers.get("content-type", "").startswith("multipart/"):
        return Request(method, path, headers, raw)
    return Request(method, path, headers, json.loads(raw) if raw else None)
