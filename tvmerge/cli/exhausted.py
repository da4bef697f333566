"""Recognizes that this machine ran out of something, whichever library says so."""

from __future__ import annotations

import errno
import sys

_NO_MEMORY = ("cannot allocate memory", "failed to map segment")
"""Text in errors of the C library and of its loader, in lower case."""

_NO_THREAD = "can't start new thread"

_MEMORY = (
    "this machine has no memory left; end other programs, or raise the limit (`ulimit -v`, that of the "
    "container), then run the same command again"
)
_THREADS = (
    "this machine starts no more threads; raise the limit on processes or on memory (`ulimit -u`, "
    "`ulimit -v`, those of the container), then run the same command again"
)
_FILES = "too many files are open; raise the limit (`ulimit -n 1024`), then run the same command again"


def exhausted(error: BaseException) -> str | None:
    """Return a line that says what ran out and what helps, if `error` means that something did; else None."""
    number = error.errno if isinstance(error, OSError) else None
    if number in {errno.EMFILE, errno.ENFILE}:
        return _FILES
    text = str(error).lower()
    if isinstance(error, RuntimeError) and _NO_THREAD in text:
        return _THREADS
    if number == errno.ENOMEM or isinstance(error, MemoryError) or _ran_out(error):
        return _MEMORY
    if isinstance(error, ImportError | OSError) and any(words in text for words in _NO_MEMORY):
        return _MEMORY
    return None


def _ran_out(error: BaseException) -> bool:
    if "torch" not in sys.modules:
        return False  # it cannot have raised the error, and takes seconds to import
    from tvmerge.pretrained.out_of_memory import ran_out

    return ran_out(error)
