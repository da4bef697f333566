"""Calls a function again and again in a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Ticker:
    """Calls a function every few seconds between `__enter__` and `__exit__`.

    Args:
        call: The function.
        every: Seconds between two calls; None for no calls.
    """

    def __init__(self, call: Callable[[], None], every: float | None) -> None:
        self._call = call
        self._every = every
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tvmerge-progress", daemon=True)

    def __enter__(self) -> Ticker:
        if self._every is not None:
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._every):
            self._call()
