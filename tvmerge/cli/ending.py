"""What ends a command from outside: SIGTERM and SIGHUP end it as Ctrl-C does, with everything paid stored."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_NAMES = ("SIGTERM", "SIGHUP")
"""Signals of systems, schedulers and closed terminals; not every system has both."""

TOGETHER = 10.0
"""Seconds in which further ones belong to the first: systemd sends both, a closed terminal SIGHUP twice."""


class ResumableInterrupt(KeyboardInterrupt):
    """A command was ended from outside, and goes on where it was if it is run again."""


@contextmanager
def resumable() -> Iterator[None]:
    """Raise `ResumableInterrupt` if the block is interrupted: what it has finished is stored."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise ResumableInterrupt from error


class Ending:
    """Which signals have asked the command to end.

    Attributes:
        last: The number of the last one; Ctrl-C's if there was none.
    """

    def __init__(self) -> None:
        self.last: int = signal.SIGINT
        self._begun: float | None = None
        # A terminal that is gone says no more that it was one.
        self._terminals = [number for number in (1, 2) if _is_terminal(number)]

    @property
    def code(self) -> int:
        """The exit code, by the convention of shells."""
        return 128 + self.last

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Do what Ctrl-C would do now; nothing more where the same end has begun."""
        self.last = number
        closed = number == getattr(signal, "SIGHUP", None)
        if closed:
            self._leave_terminals()
        now, begun = time.monotonic(), self._begun
        if begun is not None and (closed or now - begun < TOGETHER):
            return
        self._begun = now
        interrupt = signal.getsignal(signal.SIGINT)
        assert callable(interrupt)
        interrupt(signal.SIGINT, frame)

    def _leave_terminals(self) -> None:
        """Send what is still printed nowhere, since writing to a closed terminal fails."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for number in self._terminals:
            os.dup2(nowhere, number)
        os.close(nowhere)


@contextmanager
def ended_by_signals() -> Iterator[Ending]:
    """End the command in the block on SIGTERM and SIGHUP as on Ctrl-C: with a `KeyboardInterrupt`.

    Signals that are ignored, as under `nohup`, stay so.
    """
    ending = Ending()
    if threading.current_thread() is not threading.main_thread():
        yield ending  # only the main thread gets signals
        return
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    before = {n: signal.getsignal(n) for n in numbers if signal.getsignal(n) == signal.SIG_DFL}
    with _ctrl_c_handled():
        for number in before:
            signal.signal(number, ending)
        try:
            yield ending
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def _ctrl_c_handled() -> Iterator[None]:
    """Have a handler for Ctrl-C, even if it is ignored as in the background of a script."""
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # It stays ignored, since it is blocked. asyncio replaces only this handler.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # forgets one that came meanwhile
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _is_terminal(number: int) -> bool:
    with suppress(OSError):
        return os.isatty(number)
    return False
