"""Takes values from the bytes that a fuzzer changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


class Draws:
    """Reads an input from its front: choices first, and the rest as content.

    Args:
        data: The input; when it is used up, every choice is the first.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def choice(self, items: Sequence[Item]) -> Item:
        """Return one of `items`, chosen by the next byte."""
        number = self._data[self._at] if self._at < len(self._data) else 0
        self._at += 1
        return items[number % len(items)]

    def rest(self) -> bytes:
        """Return the bytes that are left."""
        return self._data[self._at :]

    def rest_as_text(self) -> str:
        """Return the bytes that are left as text, in which halves of surrogate pairs may occur alone."""
        return self.rest().decode("utf-8", "surrogateescape")
