"""How much the check of a GPU measures, and its figures with their goals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured.

    Attributes:
        config: Changes to the configuration of the models.
        copied: Bytes of a copy.
        rows: Batch sizes.
        tokens: New tokens of an answer.
        trials: Trials of the search.
    """

    config: Mapping[str, int]
    copied: int
    rows: tuple[int, ...]
    tokens: int
    trials: int


FULL = Size(
    {
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 32000,
    },
    copied=2**31,
    rows=(1, 8, 64),
    tokens=128,
    trials=30,
)
TINY = Size(
    {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 300,
    },
    copied=2**22,
    rows=(1, 2),
    tokens=4,
    trials=2,
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A measurement.

    Attributes:
        name: What was measured.
        value: The value.
        unit: Its unit.
        goal: What it should be; None without a goal.
        at_most: Whether smaller is better.
    """

    name: str
    value: float
    unit: str = ""
    goal: float | None = None
    at_most: bool = False

    @property
    def verdict(self) -> str:
        """`ok`, `misses its goal` or `FAILED`; empty without a goal."""
        if self.goal is None:
            return ""
        reached = self.goal / max(self.value, 1e-12) if self.at_most else self.value / self.goal
        return "ok" if reached >= 1 else "misses its goal" if reached >= 1 / 2 else "FAILED"

    def line(self, *, judged: bool) -> str:
        """Return the figure's line of the table."""
        goal = "" if self.goal is None else f"{'at most' if self.at_most else 'at least'} {self.goal:g}"
        verdict = self.verdict if judged else ""
        return f"{self.name:50} {self.value:10.4g} {self.unit:5} {goal:14} {verdict}".rstrip()
