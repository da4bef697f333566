"""Reads a stream ahead of its consumer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

from tvmerge._util.tasks import stop

T = TypeVar("T")


async def read_ahead(stream: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """The items of `stream`, whose maker does not wait while one is dealt with.

    One item is ready and the next is being made, no more: a reader that pauses soon stops the maker too.
    A reader that leaves ends the stream at once.
    """
    ready: asyncio.Queue[T | None] = asyncio.Queue()
    room = asyncio.Semaphore(1)

    async def read() -> None:
        async with aclosing(stream):
            async for item in stream:
                await room.acquire()
                ready.put_nowait(item)

    reading = asyncio.create_task(read())
    reading.add_done_callback(lambda _: ready.put_nowait(None))
    try:
        while (item := await ready.get()) is not None:
            room.release()
            yield item
        await reading
    finally:
        await stop([reading])
