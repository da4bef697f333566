"""A function by its import path and its arguments as plain data, to be called in another process."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Entry:
    """A function call that can be sent to another process.

    A package can call code this way that it must not import: the caller that connects them sets the path.

    Attributes:
        function: `package.module:function`.
        settings: Its keyword arguments, as JSON data.
    """

    function: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def call(self) -> Any:
        """Call the function in this process."""
        module, _, name = self.function.partition(":")
        return getattr(importlib.import_module(module), name)(**self.settings)
