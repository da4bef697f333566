"""Progress of an API call: silent, on standard error, or to a function."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

Tell = Callable[[str], None]
"""Called with a line of text, from any thread."""

Progress = bool | Tell
"""False prints nothing, True prints to standard error, a function is called with each line."""


def progress_callback(progress: Progress) -> Tell:
    """Return the function that shows a line of progress."""
    if callable(progress):
        return progress
    return partial(print, file=sys.stderr, flush=True) if progress else lambda _: None
