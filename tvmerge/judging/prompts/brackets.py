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

_LABELLED: Final = 60
"""Characters before a bracket in which it is said what it rates."""

_RANGE = re.compile(
    r"[ \t]*点?[ \t]*(?:[,、][ \t]*(?:\b(?:or|maybe|perhaps|possibly|even)\b)"
    r"|[~〜–—−&,、と/-]|から|か|または|もしくは|あるいは|\b(?:to|through|and|or)\b)[ \t]*",
    re.IGNORECASE,
)
_TOP_AFTER = re.compile(
    r"[\s*_`\]】]*点?[\s*_`]*\(?\s*(?:(?:/|÷|\bout\s+of\b)\s*([0-9]+)(?![0-9.])|([0-9]+)\s*点満点)",
    re.IGNORECASE,
)
_TOP_BEFORE = re.compile(r"([0-9]+)\s*点満点(?:中|の?うち|で(?:は|いうと|言うと)?|なら)?[\s*_`:,、は]*$")
_LABEL = re.compile(
    r"(?:^|[,、;。.|])[\s*_#>•・-]*(?:[0-9]+[.)])?[\s*_]*([^\s:=,、;。.|\[\]][^:=,、;。.|\[\]]{0,40})[:=|][\s*_`\"]*$"
)
_OF_THE_WHOLE = re.compile(
    r"総合|全体|最終|合計|平均|修正|改め|結論|結果|最後|\b(?:overall|final|total|average|revised|updated|result|answer)\b",
    re.IGNORECASE,
)
_ONE_IN_TURN = re.compile(
    r"(?:turn|round|question|answer|response|q|ターン|質問|回答|問)\s*[0-9]+"
    r"|第?\s*[0-9一二三四五]+\s*(?:ターン|回|問|つ|番)目?(?:の\s*(?:ターン|質問|回答))?"
    r"|(?:first|second|third|last|[0-9]+(?:st|nd|rd|th))\s+(?:turn|round|question|answer|response)",
    re.IGNORECASE,
)
"""A label of one turn among several: they are rated in their order, and the last one is asked for."""
_OUT_OF = re.compile(r"\s*点?\s*(?:/|÷|\b(?:out\s+of|of)\b)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Decided:
    """The rating in a bracket, and how certain it is that this is the judge's decision.

    Attributes:
        meaning: A rating, a verdict, or `VOID` where one was due and there is none.
        weight: How surely.
        shown: What stands in the brackets.
        aspect: What it rates, where that is said not to be the whole (`正確性：`); else empty.
    """

    meaning: Meaning
    weight: Weight
    shown: str
    aspect: str = ""


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
        mean: Says what brackets say by what is inside them.
        ends: What the lowest and the highest rating mean.
    """

    def __init__(
        self, text: str, word: str, mean: Callable[[str], Meaning], ends: Sequence[Meaning] = ()
    ) -> None:
        self._text = text
        self._word = word
        self._around = Surroundings(text, word)
        self._mean = mean
        self._ends = ends

    def decided(self, shape: re.Pattern[str]) -> Decided | None:
        """What the brackets of a shape say; None where they say nothing."""
        weighed = [
            Decided(
                bracket.meaning,
                self._around.weight(bracket.start, bracket.end),
                bracket.shown,
                self._aspect(bracket.start),
            )
            for bracket in self._joined([*self._found(shape)])
            if not self._around.aside(bracket.start, bracket.end)
        ]
        if not weighed:
            return None
        most = max(decided.weight for decided in weighed)
        last = next(decided for decided in reversed(weighed) if decided.weight == most)
        # In passing, or with another one behind it that ends the reply, a number must be the only one.
        for rival in (*_rivals(weighed, most), *_other_aspects(weighed, last)):
            if rival.meaning != last.meaning:
                return Decided(VOID, most, f"{last.shown}]] or [[{rival.shown}")
        return last

    def _found(self, shape: re.Pattern[str]) -> Iterator[_Bracket]:
        for found in deque(shape.finditer(self._text), maxlen=_MOST):
            meaning = self._meaning(found[1], found.start(), found.end())
            if meaning is not None:
                yield _Bracket(found.start(), found.end(), meaning, found[1].strip())

    def _meaning(self, inside: str, start: int, end: int) -> Meaning:
        if self._on_another_scale(start, end):
            return None
        meaning = self._mean(inside)
        if meaning is None and not is_placeholder(inside) and self._around.announced(start):
            return VOID
        return meaning

    def _on_another_scale(self, start: int, end: int) -> bool:
        """Whether the words around say that the top of the scale is another than the one asked for."""
        line = self._text.rfind("\n", 0, start) + 1
        before, after = _TOP_BEFORE.search(self._text, line, start), _TOP_AFTER.match(self._text, end)
        tops = [top for found in (before, after) if found for top in found.groups() if top]
        return bool(self._ends) and any(float(top) != self._ends[-1] for top in tops)

    def _aspect(self, start: int) -> str:
        """The label before a bracket, where it names a part of what is rated and not the whole."""
        line = self._text.rfind("\n", 0, start) + 1
        label = _LABEL.search(self._text[max(line, start - _LABELLED) : start])
        name = "" if label is None else label[1].strip(' *_`"')
        whole = _OF_THE_WHOLE.search(name) or re.fullmatch(rf"(?:{self._word})", name, re.IGNORECASE)
        return "" if whole or _ONE_IN_TURN.fullmatch(name) else name

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


def _other_aspects(weighed: Sequence[Decided], last: Decided) -> Sequence[Decided]:
    """Ratings of other parts than the one that `last` rates: then nothing rates the whole."""
    return [decided for decided in weighed if last.aspect and decided.aspect not in ("", last.aspect)]


def _rivals(weighed: Sequence[Decided], most: Weight) -> Sequence[Decided]:
    """The brackets that must say the same as the last of the greatest weight, or nobody knows what counts."""
    if most is Weight.PASSING:
        return [decided for decided in weighed if decided.meaning is not VOID]
    return [weighed[-1]] if weighed[-1].weight is Weight.CLOSING else []
