"""The error of an engine that crashed."""

from __future__ import annotations

from tvmerge.errors import TvmergeError


class EngineLostError(TvmergeError):
    """An engine is permanently lost: its process was killed, its device failed or its node is gone.

    What it had not yielded must be requested from another engine.
    """
