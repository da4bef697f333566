"""Keeps an error instead of raising it, where something else must go on."""

from __future__ import annotations

from types import TracebackType


class Caught:
    """Suppresses the error of its block, if it is an `Exception`, and keeps it.

    Attributes:
        error: The error; None if there was none.
    """

    def __init__(self) -> None:
        self.error: Exception | None = None

    def __enter__(self) -> Caught:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self.error = error
        return True
