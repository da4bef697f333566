"""Finds what a judge decided among the brackets of its reply.

Of the brackets that hold a rating, those that only quote, show an example or name an end of the scale are
left out. Of the others the last one counts that is stated as the rating (announced by its name, or alone on
its line), else the one that ends the reply, else one in passing where there are no two that differ. A bracket
with anything else in the place of the rating takes part as such: an earlier number is then a quotation.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tvmerge.judging.prompts.context import Surroundings, Weight
from tvmerge.judging.prompts.values import VOID, Meaning, is_placeholder

DOUBLE: Final = re.compile(r"\[\[([^\[\]]*)\]\]")
"""The brackets that judges are asked for."""

LOOKALIKE: Final = re.compile(r"(?:(?:\\\[|[\[【]){2}|〚|⟦)([^\[\]【】〚〛⟦⟧\\]*)(?:(?:\\\]|[\]】]){2}|〛|⟧)")
"""Double brackets that were escaped for Markdown, or taken from another script."""

SINGLE: Final = re.compile(r"(?<!\[ )(?:\\?[\[【]){1,2}([^\[\]【】\n\\]{1,30})(?:\\?[\]】]){1,2}(?!\(| \])")
"""Single brackets, which FastChat falls back to, or a pair of which one is missing.

No link of Markdown, and nothing that `fence` took apart.
"""

_MOST: Final = 200
"""Brackets that are looked at, from the last one back; more are only in replies that go round in circles."""

_RANGE = re.compile(
    r"[ \t]*点?[ \t]*(?:[,、][ \t]*(?:\b(?:or|maybe|perhaps|possibly|even)\b)"
    r"|[~〜–—−&,、と/-]|から|か|または|もしくは|あるいは|\b(?:to|through|and|or)\b)[ \t]*",
    re.IGNORECASE,
)
_OUT_OF = re.compile(r"\s*点?\s*(?:/|÷|\b(?:out\s+of|of)\b)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Decided:
    """What a bracket says, and how surely it is the judge's decision.

    Attributes:
        meaning: A rating, a verdict, or `VOID` where one was due and there is none.
        weight: How surely.
        shown: What stands in the brackets.
    """

    meaning: Meaning
    weight: Weight
    shown: str


@dataclass(frozen=True, slots=True)
class _Bracket:
    start: int
    end: int
    meaning: Meaning
    shown: str


class Brackets:
    """The brackets of a reply.

    Args:
        text: The reply, normalised.
        word: A pattern of the words that announce what is looked for.
        mean: Tells what brackets say by what is inside them.
        ends: What the lowest and the highest rating mean.
    """

    def __init__(
        self, text: str, word: str, mean: Callable[[str], Meaning], ends: Sequence[Meaning] = ()
    ) -> None:
        self._text = text
        self._around = Surroundings(text, word)
        self._mean = mean
        self._ends = ends

    def decided(self, shape: re.Pattern[str]) -> Decided | None:
        """What the brackets of a shape say; None where they say nothing."""
        weighed = [
            Decided(bracket.meaning, self._around.weight(bracket.start, bracket.end), bracket.shown)
            for bracket in self._joined([*self._found(shape)])
            if not self._around.aside(bracket.start, bracket.end)
        ]
        if not weighed:
            return None
        most = max(decided.weight for decided in weighed)
        last = next(decided for decided in reversed(weighed) if decided.weight == most)
        # In passing, or with another one behind it that ends the reply, a number must be the only one.
        for rival in _rivals(weighed, most):
            if rival.meaning != last.meaning:
                return Decided(VOID, most, f"{last.shown}]] or [[{rival.shown}")
        return last

    def _found(self, shape: re.Pattern[str]) -> Iterator[_Bracket]:
        for found in deque(shape.finditer(self._text), maxlen=_MOST):
            meaning = self._meaning(found[1], found.start())
            if meaning is not None:
                yield _Bracket(found.start(), found.end(), meaning, found[1].strip())

    def _meaning(self, inside: str, start: int) -> Meaning:
        meaning = self._mean(inside)
        if meaning is None and not is_placeholder(inside) and self._around.announced(start):
            return VOID
        return meaning

    def _joined(self, brackets: list[_Bracket]) -> list[_Bracket]:
        """The brackets, where pairs with a word between them that makes them one are one, or none at all."""
        joined: list[_Bracket] = []
        for bracket in brackets:
            if not joined or (pair := self._pair(joined[-1], bracket)) is bracket:
                joined.append(bracket)
            else:
                joined[-1:] = [pair]
        return [bracket for bracket in joined if bracket.meaning is not None]

    def _pair(self, first: _Bracket, second: _Bracket) -> _Bracket:
        """What two brackets are together; the second one where each stands for itself."""
        between = self._text[first.end : second.start]
        if _OUT_OF.fullmatch(between) and self._ends and second.meaning == self._ends[-1]:
            return _Bracket(first.start, second.end, first.meaning, first.shown)
        if first.meaning is None or not (_RANGE.fullmatch(between) or _OUT_OF.fullmatch(between)):
            return second
        whole = (first.meaning, second.meaning) == tuple(self._ends)
        alike = first.meaning == second.meaning
        meaning = None if whole else first.meaning if alike else VOID
        shown = first.shown if alike else f"{first.shown}]]{between}[[{second.shown}"
        return _Bracket(first.start, second.end, meaning, shown)


def _rivals(weighed: Sequence[Decided], most: Weight) -> Sequence[Decided]:
    """The brackets that must say the same as the last of the greatest weight, or nobody knows what counts."""
    if most is Weight.PASSING:
        return [decided for decided in weighed if decided.meaning is not VOID]
    return [weighed[-1]] if weighed[-1].weight is Weight.CLOSING else []
