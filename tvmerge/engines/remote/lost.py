"""The end of an engine that was not asked to end."""

from __future__ import annotations

from tvmerge.errors import TvmergeError


class EngineLostError(TvmergeError):
    """An engine is gone for good: its process was killed, its device failed, its node went away.

    Whoever holds it asks another for what it had not yielded.
    """
