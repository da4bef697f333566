"""Calls a function again and again in a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class Ticker:
    """Calls a function every few seconds between `__enter__` and `__exit__`.

    If it raises, it is not called again, and the error is raised at the end unless there is another one.

    Args:
        call: The function.
        every: Seconds between two calls; None for no calls.
    """

    def __init__(self, call: Callable[[], None], every: float | None) -> None:
        self._call = call
        self._every = every
        self._ended = threading.Event()
        self._thread = ThreadPoolExecutor(1, "tvmerge-progress")
        self._calls: Future[None] | None = None

    def __enter__(self) -> Ticker:
        if self._every is not None:
            self._calls = self._thread.submit(self._run)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._ended.set()
        self._thread.shutdown()
        if self._calls is not None and error is None:
            self._calls.result()

    def _run(self) -> None:
        while not self._ended.wait(self._every):
            self._call()
