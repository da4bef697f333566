"""Runs groups of tasks that end together without losing requests in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def gather_or_cancel(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return all results in order; after the first failure, stop the other tasks, then raise it.

    The others are cancelled once and waited for, as they are if the caller is cancelled. `asyncio.gather`
    would cancel them a second time when the first of them ends, which would drop requests in flight.
    """
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await first_failure(tasks)
        return [task.result() for task in tasks]
    finally:
        await stop(tasks)


async def first_failure(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Wait for all tasks; raise the first failure at once."""
    if tasks:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()


async def stop(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel the running tasks once and wait until they have ended, ignoring their results.

    They are cancelled again only if the caller is cancelled for the second time. A first cancellation that
    comes meanwhile asks for what they do already: to end once their requests in flight have arrived.

    Raises:
        CancelledError: The caller was cancelled meanwhile; the tasks have ended.
    """
    listed = list(tasks)
    caller = asyncio.current_task()
    pending = {task for task in listed if not task.done()}
    cancelled: asyncio.CancelledError | None = None
    _cancel(pending)
    while pending:
        try:
            _, pending = await asyncio.wait(pending)
        except asyncio.CancelledError as error:
            cancelled = error
            pending = {task for task in pending if not task.done()}
            if caller is not None and caller.cancelling() > 1:
                _cancel(pending)
    for task in listed:
        if not task.cancelled():
            task.exception()  # retrieved, so that asyncio does not report it as unhandled
    if cancelled is not None:
        raise cancelled


def _cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
