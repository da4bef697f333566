"""Declares a setting once: its key, flag, default, help and choices."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field
from typing import Any, Literal

from tvmerge._util.lists import Kind
from tvmerge.errors import ConfigError

Decides = Literal["scores", "candidates", "content", "nothing"]
"""What a setting affects in a study.

`scores` or `candidates`: with another value, scores would not be comparable or other candidates would be
tried, so the value is part of the study's fingerprint. `content`: the fingerprint holds the content that the
setting refers to instead of its value. `nothing`: it may change when a study is resumed.
"""

Names = tuple[str, ...] | Callable[[], tuple[str, ...]]
"""Names, or a function that looks them up, since plug-ins may add some."""


@dataclass(frozen=True, slots=True)
class Option:
    """The declaration of a setting.

    Attributes:
        kind: Type of its value; a dict can only be set in the config file and has no flag.
        help: The text for `--help`.
        names: The values allowed, or a function that looks them up on use; empty for any.
        aliases: Other names of its flag.
        many: The value is a list of `kind`; the flag takes a comma-separated list and may be repeated.
        listed: What the items of such a list are, which decides at which commas it is split.
        decides: What it affects in a study.
    """

    kind: type
    help: str
    names: Names = ()
    aliases: tuple[str, ...] = ()
    many: bool = False
    listed: Kind = "plain"
    decides: Decides = "nothing"

    @property
    def choices(self) -> tuple[str, ...]:
        """The values allowed; empty for any."""
        return self.names() if callable(self.names) else self.names


def option(
    kind: type,
    text: str,
    default: Any = MISSING,
    *,
    choices: Names = (),
    aliases: tuple[str, ...] = (),
    many: bool = False,
    listed: Kind = "plain",
    decides: Decides,
) -> Any:
    """Return a dataclass field for a setting, which is required if it has no default."""
    declared = Option(kind, text, choices, aliases, many, listed, decides)
    return field(default=default, metadata={"option": declared})


def weighted(text: str, is_name: Callable[[str], bool] = lambda _: False) -> tuple[str, float]:
    """Split `name=0.7` into name and weight; the weight defaults to 1.

    Args:
        text: The name, with or without a weight.
        is_name: Whether a name is known. If the whole text is, it has no weight.

    Raises:
        ConfigError: The weight is not larger than 0.
    """
    name, _, number = text.rpartition("=")
    try:
        weight = float(number)
    except ValueError:
        return text, 1.0
    if not name or is_name(text):
        return text, 1.0
    if not (math.isfinite(weight) and weight > 0):
        raise ConfigError(f"the weight of {name} must be larger than 0, got {number}")
    return name, weight
