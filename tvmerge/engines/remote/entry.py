"""How something is made in another process: a function by its import path, and plain data to call it with."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Entry:
    """A call that can be written down.

    It lets a stage have something made that it must not import itself: the path is settled by whoever wires
    the stages together.

    Attributes:
        function: `package.module:function`.
        settings: Its keyword arguments, as JSON data.
    """

    function: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def call(self) -> Any:
        """What the function returns, in this process."""
        module, _, name = self.function.partition(":")
        return getattr(importlib.import_module(module), name)(**self.settings)
