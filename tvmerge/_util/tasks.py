"""Tasks that belong together: they end together, and what one of them has begun is not thrown away."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def together(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All outcomes in order; the first failure ends the other works before it is raised.

    The others are cancelled once and waited for, as they are where the caller is cancelled. `asyncio.gather`
    would have the first of them to end cancel the rest a second time, which gives up what is on the wire.
    """
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await first_failure(tasks)
        return [task.result() for task in tasks]
    finally:
        await stop(tasks)


async def first_failure(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Wait for all tasks; raise the first failure as soon as it happens."""
    if tasks:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()


async def stop(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel the tasks that still run, once, and wait until they have ended; how they end is not told.

    Raises:
        CancelledError: The caller was cancelled meanwhile; the tasks were cancelled again and have ended.
    """
    listed = list(tasks)
    pending = {task for task in listed if not task.done()}
    cancelled: asyncio.CancelledError | None = None
    _cancel(pending)
    while pending:
        try:
            _, pending = await asyncio.wait(pending)
        except asyncio.CancelledError as error:
            cancelled = error
            pending = {task for task in pending if not task.done()}
            _cancel(pending)
    for task in listed:
        if not task.cancelled():
            task.exception()  # seen here, so that asyncio does not report it as unhandled
    if cancelled is not None:
        raise cancelled


def _cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
