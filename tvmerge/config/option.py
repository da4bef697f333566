"""How a setting is declared: its key, flag, default, meaning and choices, once."""

from __future__ import annotations

import math
from dataclasses import MISSING, dataclass, field
from typing import Any

from tvmerge.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Option:
    """How a setting is written.

    Attributes:
        kind: Type of its value; a dict stands in the config file only and has no flag.
        help: What it means, for `--help`.
        choices: The values allowed, or empty for any.
        aliases: Other names of its flag.
        many: A list of `kind`; its flag takes a comma-separated list and may be repeated.
    """

    kind: type
    help: str
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    many: bool = False


def option(
    kind: type,
    text: str,
    default: Any = MISSING,
    *,
    choices: tuple[str, ...] = (),
    aliases: tuple[str, ...] = (),
    many: bool = False,
) -> Any:
    """A dataclass field that is a setting; without a default it is required."""
    return field(default=default, metadata={"option": Option(kind, text, choices, aliases, many)})


def weighted(text: str) -> tuple[str, float]:
    """A name and its weight, from `name=0.7`; 1 where no weight is written.

    Raises:
        ConfigError: The weight is not larger than 0.
    """
    name, _, number = text.rpartition("=")
    try:
        weight = float(number)
    except ValueError:
        return text, 1.0
    if not name:
        return text, 1.0
    if not (math.isfinite(weight) and weight > 0):
        raise ConfigError(f"the weight of {name} must be larger than 0, got {number}")
    return name, weight
