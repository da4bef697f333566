"""A process of llama.cpp's server on this machine, reachable by this process only."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import secrets
import signal
import socket
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tvmerge.engines.llama_server import guard
from tvmerge.engines.remote.lost import EngineLostError
from tvmerge.errors import ConfigError
from tvmerge.merging.gguf.programs import Command, output_of, reason

HOST = "127.0.0.1"

SETTINGS = "LLAMA_ARG_"
"""How the names of environment variables begin that set what the server's command line does not."""

_LOOK = 0.2
"""Seconds between two questions whether the server has loaded its model."""

_FAREWELL = 5.0
"""Seconds a server may take to exit."""


async def server_version(program: Command) -> str:
    """Return the version of a llama-server, as it states it.

    Raises:
        ConfigError: It cannot be started, or does not state one.
    """
    code, printed = await output_of(program, "--version")
    stated = [line.strip() for line in printed.splitlines() if "version" in line]
    if code or not stated:
        raise ConfigError(f"{program[-1]} does not tell its version: {reason(printed)}")
    return stated[0]


def decisive_settings() -> dict[str, str]:
    """Return the settings of a server that come from the environment, since they may change its answers."""
    return {name: value for name, value in sorted(os.environ.items()) if name.startswith(SETTINGS)}


class LlamaServer:
    """A running server; created by `start`.

    Args:
        process: The process.
        port: Its port.
        key: The key that its requests need.
    """

    def __init__(self, process: asyncio.subprocess.Process, port: int, key: str) -> None:
        self._process = process
        self._port = port
        self._key = key
        self._last_words: deque[str] = deque(maxlen=100)
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, program: Command, file: Path, *, context: int, slots: int) -> Self:
        """Start a server and wait until it has loaded a model.

        Args:
            program: The command that runs llama-server.
            file: The GGUF file.
            context: Number of tokens of a conversation, new ones included.
            slots: Number of conversations at once.

        Raises:
            ConfigError: It cannot be started, or does not give conversations this much room.
            EngineLostError: It ended.
        """
        key, port = secrets.token_hex(16), _free_port()
        arguments = ["--model", str(file), "--host", HOST, "--port", str(port)]
        arguments += ["--ctx-size", str(context * slots), "--parallel", str(slots)]
        try:
            # The guard ends the server if this process is killed: an orphan would keep a GPU's memory.
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-IS", guard.__file__),
                *program,
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=os.environ | {"LLAMA_API_KEY": key},  # not shown in the list of processes
                start_new_session=True,  # Ctrl-C is handled by the run
            )
        except OSError as error:
            raise ConfigError(f"{program[-1]} cannot be started: {error.strerror or error}") from error
        server = cls(process, port, key)
        try:
            await server._loaded(context)
        except BaseException:
            await server.close()
            raise
        return server

    @property
    def pid(self) -> int:
        """The id of the process that guards the server's."""
        return self._process.pid

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return the server's reply to a request.

        Raises:
            ConfigError: It refuses the request.
            EngineLostError: It ended.
        """
        status, reply = await self._request("POST", path, json.dumps(body))
        if status != http.client.OK:
            raise ConfigError(f"llama-server refuses a request: {_said(reply)}")
        return json.loads(reply)

    async def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), _FAREWELL)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        await self._listening

    async def _loaded(self, context: int) -> None:
        while True:
            if self._process.returncode is not None:
                raise EngineLostError(await self._cause())
            with contextlib.suppress(EngineLostError):
                status, _ = await self._request("GET", "/health")
                if status == http.client.OK:
                    break
            await asyncio.sleep(_LOOK)
        _, reply = await self._request("GET", "/props")
        room = json.loads(reply)["default_generation_settings"]["n_ctx"]
        if room < context:
            raise ConfigError(
                f"llama-server gives a conversation {room} tokens instead of {context}; unset the variables "
                f"{SETTINGS}* of the environment that concern its context"
            )

    async def _request(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        """Send a request in a thread; if the caller is cancelled, the connection is cut."""
        connection = http.client.HTTPConnection(HOST, self._port)
        work = asyncio.ensure_future(asyncio.to_thread(self._send, connection, method, path, body))
        try:
            return await asyncio.shield(work)
        except (OSError, http.client.HTTPException) as error:
            raise EngineLostError(await self._cause() or f"llama-server: {error}") from error
        except asyncio.CancelledError:
            if connection.sock is not None:
                with contextlib.suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)
            await asyncio.wait([work])
            work.exception()  # retrieved, so that asyncio does not report it
            raise

    def _send(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: str | None
    ) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            return reply.status, reply.read()

    async def _listen(self) -> None:
        """Keep the last lines that the process prints."""
        assert self._process.stdout is not None
        with contextlib.suppress(ValueError):
            while line := await self._process.stdout.readline():
                self._last_words.append(line.decode("utf-8", errors="replace").strip())

    async def _cause(self) -> str:
        """Return in a line why the process ended; empty while it runs."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), _LOOK)
        code = self._process.returncode
        if code is None:
            return ""
        if code < 0:
            return f"llama-server was killed by {signal.Signals(-code).name}"
        await self._listening
        printed = "\n".join(self._last_words)
        return f"llama-server ended with code {code}: {reason(printed)}"


def _said(reply: bytes) -> str:
    """Return the message of the server's error."""
    try:
        return str(json.loads(reply)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return reason(reply.decode("utf-8", errors="replace"))


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])
