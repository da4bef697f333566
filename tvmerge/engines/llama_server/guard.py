"""Runs a program until its own standard input is closed, as it is when whoever started it ends or is killed.

It is run as a script, with the program and its arguments, and ends as the program ends.
"""

from __future__ import annotations

import asyncio
import os
import sys

_FAREWELL = 5.0
"""Seconds the program may take to exit."""


async def guarded(command: list[str]) -> int:
    """Run a command until standard input is closed; return its exit code, negative for a signal."""
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL)
    ended, closed = asyncio.create_task(process.wait()), asyncio.create_task(_input_closed())
    await asyncio.wait({ended, closed}, return_when=asyncio.FIRST_COMPLETED)
    closed.cancel()
    if not ended.done():
        process.terminate()
        await asyncio.wait({ended}, timeout=_FAREWELL)
    if not ended.done():
        process.kill()
    return await ended


async def _input_closed() -> None:
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    await reader.read()


if __name__ == "__main__":
    code = asyncio.run(guarded(sys.argv[1:]))
    if code < 0:
        os.kill(os.getpid(), -code)
    sys.exit(code)
