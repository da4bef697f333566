"""Reads a stream ahead of its consumer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

from tvmerge._util.tasks import stop

T = TypeVar("T")


async def read_ahead(stream: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """Yield the items of `stream`, producing the next ones while the consumer handles an item.

    At most one item is ready while the next is being produced. If the consumer stops, the stream is closed at
    once.
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
