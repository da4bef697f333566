"""Runs work on untrusted input in a process of its own, which is ended after a time.

Regular expressions and templates can compute for ever, within a single call that no thread can interrupt, and
fill all memory. So they are tried in a fork of this process, whose time and memory are limited by the system.
The fork does nothing but the work, and shares nothing with this process but what it returns, as JSON.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

MEMORY = 1 << 30
"""Bytes of memory that the work may take."""

ANSWER = 1 << 30
"""Bytes of JSON that the work may return."""

_WALL = 6
"""Seconds by the clock for each second of computing, since a busy machine may be slow."""


class OutOfBoundsError(Exception):
    """The work took too long or too much memory; the message says which."""


class WorkError(Exception):
    """The work raised an error; the message is that of the error."""


def bounded(work: Callable[[], T], seconds: float) -> T:
    """Return what `work` returns, which must be plain JSON data.

    On systems without `fork`, it is done in this process, without bounds.

    Args:
        work: The work. It must not use threads, nor write anything.
        seconds: How long it may compute. It may take six times as long by the clock.

    Raises:
        OutOfBoundsError: It took longer, or more memory than `MEMORY`.
        WorkError: It raised an error.
    """
    if not hasattr(os, "fork"):
        return _in_this_process(work)
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Python warns of forks beside threads, whose locks may be held for ever: the work takes none.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        _work(work, writing, seconds)
    os.close(writing)
    status = 0
    try:
        found = _received(reading, time.monotonic() + _WALL * seconds, seconds)
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if found is None:  # the system ended the process
        late = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF
        raise OutOfBoundsError(_time_bound(seconds) if late else _memory_bound())
    if "error" in found:
        raise WorkError(found["error"])
    if "bounds" in found:
        raise OutOfBoundsError(found["bounds"])
    result: T = found["result"]
    return result


def _in_this_process(work: Callable[[], T]) -> T:
    try:
        return work()
    except Exception as error:
        raise WorkError(str(error)) from error


def _work(work: Callable[[], Any], writing: int, seconds: float) -> None:
    """Do the work, send what came of it and end this process, without tidying up what is the parent's."""
    # Garbage of the parent may have files and folders that end with it.
    gc.disable()
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _limit(seconds)
        with os.fdopen(writing, "wb") as out:
            out.write(json.dumps(_outcome(work)).encode())
    finally:
        os._exit(0)


def _outcome(work: Callable[[], Any]) -> dict[str, Any]:
    outcome: dict[str, Any] = {}
    with _Reported(outcome):
        outcome["result"] = work()
    return outcome


class _Reported:
    """Puts an error that leaves its block into the outcome."""

    def __init__(self, outcome: dict[str, Any]) -> None:
        self._outcome = outcome

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, MemoryError):
            self._outcome["bounds"] = _memory_bound()
        elif isinstance(error, Exception):
            self._outcome["error"] = str(error) or type(error).__name__
        return isinstance(error, Exception)


def _limit(seconds: float) -> None:
    """Limit the memory of this process, and the time that it computes."""
    import resource

    with contextlib.suppress(OSError, ValueError):  # another system, or a limit of the user that is lower
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        most = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _received(reading: int, end: float, seconds: float) -> dict[str, Any] | None:
    """Return what the child sends, as far as it is in time; None if it ends before it has sent anything."""
    content, waiting = bytearray(), select.poll()
    waiting.register(reading, select.POLLIN)
    while True:
        if not waiting.poll(max(0.0, end - time.monotonic()) * 1000):
            return {"bounds": _time_bound(seconds)}
        part = os.read(reading, 1 << 20)
        if not part:
            break
        content += part
        if len(content) > ANSWER:
            return {"bounds": f"it makes more than {ANSWER >> 20} MiB of text"}
    if not content:
        return None
    found: dict[str, Any] = json.loads(content)
    return found


def _time_bound(seconds: float) -> str:
    return f"it takes more than {seconds:g} s"


def _memory_bound() -> str:
    return f"it takes more than {MEMORY >> 20} MiB of memory"
