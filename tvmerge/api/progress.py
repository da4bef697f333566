"""Progress of an API call: silent, on standard error, or to a function."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

Tell = Callable[[str], None]
"""Called with a line of text, in whatever thread has something to say."""

Progress = bool | Tell
"""False shows nothing, True what the command line shows, on standard error; a function gets the lines."""


def teller(progress: Progress) -> Tell:
    """Where lines go."""
    if callable(progress):
        return progress
    return partial(print, file=sys.stderr, flush=True) if progress else lambda _: None
