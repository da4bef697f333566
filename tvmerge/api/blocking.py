"""Calls asynchronous code from synchronous code, even inside a running event loop such as a notebook's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

T = TypeVar("T")


def wait_for(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Return the result of `work()`, awaited in a separate event loop.

    If a loop is already running, the new one runs in a thread and blocks the running one meanwhile. Ctrl-C
    cancels the work and waits until it has ended, so that everything paid for is kept.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    with ThreadPoolExecutor(1, "tvmerge") as pool:
        started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = Future()
        ended = pool.submit(copy_context().run, asyncio.run, _announced(work, started))
        try:
            return ended.result()
        except KeyboardInterrupt:
            loop, task = started.result()
            loop.call_soon_threadsafe(task.cancel)
            ended.exception()
            raise


async def _announced(
    work: Callable[[], Coroutine[Any, Any, T]],
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]],
) -> T:
    """Await the work after announcing its task, so that another thread can cancel it."""
    task = asyncio.current_task()
    assert task is not None
    started.set_result((asyncio.get_running_loop(), task))
    return await work()
