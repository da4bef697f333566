"""How a setting is declared: its key, flag, default, meaning and choices, once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field
from typing import Any, Literal

from tvmerge._util.lists import Kind
from tvmerge.errors import ConfigError

Decides = Literal["scores", "candidates", "content", "nothing"]
"""What a setting decides of a study.

`scores` and `candidates`: trials of other values could not be compared, or would be others, so the value is
part of the study's fingerprint. `content`: what it names or makes decides, so that is in the fingerprint.
`nothing`: it may change between the runs of a study.
"""

Names = tuple[str, ...] | Callable[[], tuple[str, ...]]
"""Names, or what looks them up: those of plug-ins are not known before."""


@dataclass(frozen=True, slots=True)
class Option:
    """How a setting is written.

    Attributes:
        kind: Type of its value; a dict stands in the config file only and has no flag.
        help: What it means, for `--help`.
        names: The values allowed, or a function that looks them up when they are needed; empty for any.
        aliases: Other names of its flag.
        many: A list of `kind`; its flag takes a comma-separated list and may be repeated.
        listed: What such a list is of, which decides where a comma divides it.
        decides: What of a study it decides.
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
    """A dataclass field that is a setting; without a default it is required."""
    declared = Option(kind, text, choices, aliases, many, listed, decides)
    return field(default=default, metadata={"option": declared})


def weighted(text: str, is_name: Callable[[str], bool] = lambda _: False) -> tuple[str, float]:
    """A name and its weight, from `name=0.7`; 1 where no weight is written.

    Args:
        text: The name, with or without a weight.
        is_name: Whether there is something of a name; a text that is one as a whole has no weight.

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
