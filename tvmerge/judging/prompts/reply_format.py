"""The formats of a judge's reply, as text or JSON: a rating, one for each turn, or a verdict on a pair."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

from tvmerge.judging.faults import IN_THOUGHT
from tvmerge.judging.prompts.lengths import TOO_LONG, shortened, too_long, too_long_to_judge
from tvmerge.judging.prompts.parsing import (
    Unreadable,
    read_json_rating,
    read_json_verdict,
    read_letter,
    read_number,
    read_pattern_rating,
    read_rating,
    read_verdict,
)
from tvmerge.judging.prompts.turn_ratings import (
    Ratings,
    read_json_turn_ratings,
    read_numbers,
    read_pattern_turn_ratings,
    read_turn_ratings,
)
from tvmerge.judging.prompts.without_thoughts import without_thoughts

Read = TypeVar("Read")

VERDICT_SHARES: Mapping[str, float] = {"A": 1.0, "B": 0.0, "C": 0.5}
"""The score of the answer shown first, by verdict."""


class ReplyFormat(Protocol):
    """The format a reply must have."""

    @property
    def structured(self) -> bool:
        """Whether the prompt asks for JSON, so that a provider should enforce a schema if it can."""

    @property
    def schema(self) -> Mapping[str, object]:
        """The JSON schema of a structured reply."""

    @property
    def reminder(self) -> str:
        """The message sent to a judge that has not given its rating in this format."""

    def read(self, text: str, *, alone: bool = False) -> float | Ratings | Unreadable:
        """Return the score in `text`, or one per turn, ignoring thoughts.

        Args:
            text: The reply.
            alone: Whether only the rating was asked for, so that a bare number or letter counts.
        """


@dataclass(frozen=True, slots=True)
class RatingFormat:
    """A number from `low` to `high`.

    Attributes:
        low: The lowest rating.
        high: The highest rating.
        structured: Whether JSON was requested. If no object has a rating, one in brackets counts, since not
            every provider can enforce a schema.
        key: The prompt's own key of the rating in JSON; empty for `rating`.
        pattern: A regular expression whose group is the rating, instead of brackets; empty for none.
    """

    low: float = 1
    high: float = 10
    structured: bool = False
    key: str = ""
    pattern: str = ""

    @property
    def schema(self) -> Mapping[str, object]:
        """An object with an explanation, first so that the rating follows from it, and a rating."""
        return _object({"explanation": {"type": "string"}, self.key or "rating": {"type": "number"}})

    @property
    def reminder(self) -> str:
        """Asks for the rating alone."""
        scale = f"a number from {self.low:g} to {self.high:g}"
        if self.pattern:
            return _reminder("rating", f"{scale}, exactly in the form that the instructions ask for")
        example = f'{{"{self.key or "rating"}": number}}' if self.key or self.structured else "[[number]]"
        return _reminder("rating", f"{scale}, in the form {example}")

    def read(self, text: str, *, alone: bool = False) -> float | Unreadable:
        """Return the rating in `text`."""
        return _read_aloud(text, partial(self._read, alone=alone))

    def _read(self, said: str, alone: bool) -> float | Unreadable:
        bare = partial(read_number, said, self.low, self.high)
        return _or_bare(self._in_form(said), bare if alone else None)

    def _in_form(self, said: str) -> float | Unreadable:
        if self.pattern:
            return read_pattern_rating(said, self.pattern, self.low, self.high)
        rating = None
        if self.key or self.structured:
            rating = read_json_rating(said, self.low, self.high, self.key or "rating")
        return read_rating(said, self.low, self.high) if rating is None else rating


@dataclass(frozen=True, slots=True)
class TurnRatingsFormat:
    """A number from `low` to `high` for each turn, in the order of turns.

    Attributes:
        turns: The number of turns.
        low: The lowest rating.
        high: The highest rating.
        structured: Whether JSON was requested. If no object has ratings, those in brackets count.
        key: The prompt's own key of the list of ratings in JSON; empty for `ratings`.
        pattern: A regular expression whose group is a rating, instead of brackets; empty for none.
    """

    turns: int
    low: float = 1
    high: float = 10
    structured: bool = False
    key: str = ""
    pattern: str = ""

    @property
    def schema(self) -> Mapping[str, object]:
        """An object with an explanation and a list of ratings."""
        ratings = {"type": "array", "items": {"type": "number"}}
        return _object({"explanation": {"type": "string"}, self.key or "ratings": ratings})

    @property
    def reminder(self) -> str:
        """Asks for the ratings alone."""
        scale = f"one number from {self.low:g} to {self.high:g} for each of the {self.turns} turns, in order"
        if self.pattern:
            return _reminder("rating", f"{scale}, exactly in the form that the instructions ask for")
        numbers = ", ".join(["number"] * self.turns)
        lines = ", ".join(f"Turn {turn}: [[number]]" for turn in range(1, self.turns + 1))
        as_json = f'{{"{self.key or "ratings"}": [{numbers}]}}'
        return _reminder(
            "rating", f"{scale}, in the form {as_json if self.key or self.structured else lines}"
        )

    def read(self, text: str, *, alone: bool = False) -> Ratings | Unreadable:
        """Return the ratings in `text`, one per turn."""
        return _read_aloud(text, partial(self._read, alone=alone))

    def _read(self, said: str, alone: bool) -> Ratings | Unreadable:
        bare = partial(read_numbers, said, self.turns, self.low, self.high)
        return _or_bare(self._in_form(said), bare if alone else None)

    def _in_form(self, said: str) -> Ratings | Unreadable:
        if self.pattern:
            return read_pattern_turn_ratings(said, self.turns, self.pattern, self.low, self.high)
        ratings = None
        if self.key or self.structured:
            ratings = read_json_turn_ratings(said, self.turns, self.low, self.high, self.key or "ratings")
        return read_turn_ratings(said, self.turns, self.low, self.high) if ratings is None else ratings


@dataclass(frozen=True, slots=True)
class VerdictFormat:
    """A, B or C (a tie), read as the score of A.

    Attributes:
        structured: Whether JSON was requested. If no object has a verdict, one in brackets counts.
    """

    structured: bool = False

    @property
    def schema(self) -> Mapping[str, object]:
        """An object with an explanation and a verdict."""
        return _object(
            {"explanation": {"type": "string"}, "verdict": {"type": "string", "enum": ["A", "B", "C"]}}
        )

    @property
    def reminder(self) -> str:
        """Asks for the verdict alone."""
        forms = '{"verdict": "A"}, {"verdict": "B"} or {"verdict": "C"}'
        return _reminder("verdict", f"{forms if self.structured else '[[A]], [[B]] or [[C]]'} (a tie)")

    def read(self, text: str, *, alone: bool = False) -> float | Unreadable:
        """Return 1 if `text` prefers A, 0 if it prefers B, 0.5 for a tie."""
        return _read_aloud(text, partial(self._read, alone=alone))

    def _read(self, said: str, alone: bool) -> float | Unreadable:
        verdict = read_json_verdict(said) if self.structured else None
        if verdict is None:
            verdict = read_verdict(said)
        verdict = _or_bare(verdict, partial(read_letter, said) if alone else None)
        return verdict if isinstance(verdict, Unreadable) else VERDICT_SHARES[verdict]


def _read_aloud(text: str, read: Callable[[str], Read | Unreadable]) -> Read | Unreadable:
    if too_long(text):
        return Unreadable(TOO_LONG)
    said = without_thoughts(shortened(text))
    if said is None:
        return Unreadable(IN_THOUGHT)
    return Unreadable(TOO_LONG) if too_long_to_judge(said) else read(said)


def _or_bare(found: Read | Unreadable, bare: Callable[[], Read | Unreadable] | None) -> Read | Unreadable:
    """Return what was read, or else what `bare` reads; of two that cannot be read, the first says why."""
    if bare is None or not isinstance(found, Unreadable):
        return found
    alone = bare()
    return found if isinstance(alone, Unreadable) else alone


def _reminder(what: str, form: str) -> str:
    return f"Your reply holds no {what} that can be read. Reply with your {what} and nothing else: {form}."


def _object(properties: Mapping[str, object]) -> Mapping[str, object]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
