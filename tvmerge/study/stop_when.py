"""The bound of `--stop-when`: what further answers have to gain for a search to go on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tvmerge.errors import ConfigError

_PER_USD = "/USD"


@dataclass(frozen=True, slots=True)
class StopWhen:
    """A gain below which a search ends.

    Attributes:
        bound: The gain, in points of the score.
        per_usd: Whether it is a gain per USD.
    """

    bound: float
    per_usd: bool = False

    @classmethod
    def read(cls, text: str) -> StopWhen:
        """Read `0.05` or `0.1/USD`.

        Raises:
            ConfigError: It is neither.
        """
        number = text.strip()
        per_usd = number.upper().endswith(_PER_USD)
        try:
            bound = float(number[: -len(_PER_USD)] if per_usd else number)
        except ValueError:
            bound = math.nan
        if not (math.isfinite(bound) and bound > 0):
            raise ConfigError(
                f"stop_when must be points such as 0.05, or points per USD such as 0.1/USD, got {text!r}"
            )
        return cls(bound, per_usd)

    def __str__(self) -> str:
        return f"{self.bound:g} points per USD" if self.per_usd else f"{self.bound:g} points"
