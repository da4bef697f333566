"""Lets an import end before Ctrl-C does."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def whole_imports() -> Iterator[None]:
    """Raise the `KeyboardInterrupt` of a Ctrl-C in the block, which imports large libraries, at its end.

    Within an import it may be swallowed: torch initialises numpy in C, and goes on without numpy if that
    fails. The run would go on as well, until it fails for want of numpy. A second Ctrl-C ends the import
    itself. Signals that do what Ctrl-C does come here too.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    kept: list[FrameType | None] = []

    def keep(number: int, frame: FrameType | None) -> None:
        kept.append(frame)
        if len(kept) > 1:
            before(number, frame)

    signal.signal(signal.SIGINT, keep)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if kept:
        before(signal.SIGINT, kept[0])
