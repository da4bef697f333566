"""Declares a setting once: its key, flag, default, help and choices."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field
from typing import Any, Literal

from tvmerge._util.lists import Kind
from tvmerge._util.shown import shown
from tvmerge.errors import ConfigError

Decides = Literal["scores", "candidates", "content", "nothing"]
"""What a setting affects in a study.

`scores` or `candidates`: with another value, scores would not be comparable or other candidates would be
tried, so the value is part of the study's fingerprint. `content`: the fingerprint holds the content that the
setting refers to instead of its value. `nothing`: it may change when a study is resumed.
"""

Bounds = tuple[float, float]
"""The smallest and the largest value of a number."""

FROM_0: Bounds = (0, 10**9)
"""Bounds of amounts."""

FROM_1: Bounds = (1, 10**9)
"""Bounds of counts that cannot be 0."""

REPEATED: Bounds = (1, 1000)
"""Bounds of how often the same is done again, which is planned one by one."""

SHARE: Bounds = (0, 1)
"""Bounds of shares."""

SEED: Bounds = (0, 2**32 - 1)
"""Bounds of seeds, which are those of numpy."""

WEIGHT: Bounds = (-(10**6), 10**6)
"""Bounds of a task vector's weights."""

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
        within: The smallest and the largest value of a number.
    """

    kind: type
    help: str
    names: Names = ()
    aliases: tuple[str, ...] = ()
    many: bool = False
    listed: Kind = "plain"
    decides: Decides = "nothing"
    within: Bounds = FROM_0

    def check_number(self, key: str, value: float, place: str = "") -> None:
        """Check that a number is within the bounds.

        Raises:
            ConfigError: It is not.
        """
        least, most = self.within
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{place}{key} must be finite, got {value}")
        if least <= value <= most:
            return
        if self.within == SHARE:
            bound = "in [0, 1]"
        else:
            bound = f"at least {least}" if value < least else f"at most {most}"
        raise ConfigError(f"{place}{key} must be {bound}, got {shown(value)}")

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
    within: Bounds = FROM_0,
) -> Any:
    """Return a dataclass field for a setting, which is required if it has no default."""
    declared = Option(kind, text, choices, aliases, many, listed, decides, within)
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
