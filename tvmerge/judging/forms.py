"""The form a judge's reply must have: a rating on a scale or a verdict on a pair, as text or as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from tvmerge.judging.parsing import (
    Unreadable,
    read_json_rating,
    read_json_verdict,
    read_rating,
    read_verdict,
)

VERDICT_SHARES: Mapping[str, float] = {"A": 1.0, "B": 0.0, "C": 0.5}
"""The share of the win that goes to the answer shown first."""


class Form(Protocol):
    """What a reply must hold."""

    @property
    def structured(self) -> bool:
        """The prompt asks for JSON; a provider that can enforce a schema should."""

    @property
    def schema(self) -> Mapping[str, object]:
        """JSON schema of a structured reply."""

    def read(self, text: str) -> float | Unreadable:
        """The score that `text` gives."""


@dataclass(frozen=True, slots=True)
class RatingForm:
    """A number from `low` to `high`.

    Attributes:
        low: The lowest rating.
        high: The highest rating.
        structured: Asked for as JSON; where no object has a rating a bracketed one is understood, since
            not every provider can enforce a schema.
    """

    low: float = 1
    high: float = 10
    structured: bool = False

    @property
    def schema(self) -> Mapping[str, object]:
        """An object with an explanation, which comes first so that it is thought of first, and a rating."""
        return _object({"explanation": {"type": "string"}, "rating": {"type": "number"}})

    def read(self, text: str) -> float | Unreadable:
        """The rating in `text`."""
        rating = read_json_rating(text, self.low, self.high) if self.structured else None
        return read_rating(text, self.low, self.high) if rating is None else rating


@dataclass(frozen=True, slots=True)
class VerdictForm:
    """A, B or C (a tie), read as the share of the win that goes to A.

    Attributes:
        structured: Asked for as JSON; where no object has a verdict a bracketed one is understood.
    """

    structured: bool = False

    @property
    def schema(self) -> Mapping[str, object]:
        """An object with an explanation and a verdict."""
        return _object(
            {"explanation": {"type": "string"}, "verdict": {"type": "string", "enum": ["A", "B", "C"]}}
        )

    def read(self, text: str) -> float | Unreadable:
        """1 where `text` prefers A, 0 where it prefers B, 0.5 for a tie."""
        verdict = read_json_verdict(text) if self.structured else None
        if verdict is None:
            verdict = read_verdict(text)
        return verdict if isinstance(verdict, Unreadable) else VERDICT_SHARES[verdict]


def _object(properties: Mapping[str, object]) -> Mapping[str, object]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
