"""Finds a judge's decision among the brackets of its reply.

Brackets that quote, give an example or name an end of the scale are ignored. Of the others, the last one that
is stated as the rating (announced by name, or alone on its line) counts; else the one that ends the reply;
else one mentioned in passing, if all such brackets agree. A bracket that holds something else where a rating
is due takes part too, so that an earlier number does not count instead.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tvmerge.judging.prompts.context import Certainty, Surroundings
from tvmerge.judging.prompts.values import NO_RATING, Meaning, is_placeholder

DOUBLE: Final = re.compile(r"\[\[([^\[\]]*)\]\]")
"""The brackets that judges are asked for."""

LOOKALIKE: Final = re.compile(r"(?:(?:\\\[|[\[【]){2}|〚|⟦)([^\[\]【】〚〛⟦⟧\\]*)(?:(?:\\\]|[\]】]){2}|〛|⟧)")
"""Double brackets that were escaped for Markdown, or come from another script."""

SINGLE: Final = re.compile(r"(?<!\[ )(?:\\?[\[【]){1,2}([^\[\]【】\n\\]{1,30})(?:\\?[\]】]){1,2}(?!\(| \])")
"""Single brackets, which FastChat falls back to, or double brackets with one missing.

Excludes Markdown links and brackets that `fence` has taken apart.
"""

_MOST: Final = 200
"""Maximum number of brackets examined, from the last one; only looping replies have more."""

_LABELLED: Final = 60
"""Number of characters before a bracket that are searched for what it rates."""

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
"""A label of one turn among several, which are rated in order; the last one is wanted."""
_OUT_OF = re.compile(r"\s*点?\s*(?:/|÷|\b(?:out\s+of|of)\b)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Decided:
    """The rating in a bracket, and how certain it is that it is the judge's decision.

    Attributes:
        meaning: A rating, a verdict, or `NO_RATING` if one was due but is missing.
        certainty: How certain it is.
        shown: The text in the brackets.
        aspect: What it rates, if it is labelled as only a part (`正確性：`); empty otherwise.
    """

    meaning: Meaning
    certainty: Certainty
    shown: str
    aspect: str = ""


@dataclass(frozen=True, slots=True)
class Bracket:
    """A bracket of a reply.

    Attributes:
        start: Where it begins.
        end: Where it ends.
        meaning: A rating, a verdict, or `NO_RATING` if one was due but is missing.
        shown: The text in it.
    """

    start: int
    end: int
    meaning: Meaning
    shown: str


class Brackets:
    """The brackets of a reply.

    Args:
        text: The reply, normalised.
        word: A pattern of the words that announce what is looked for.
        mean: Returns the meaning of the text inside brackets.
        ends: The meanings of the lowest and the highest rating.
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
        """Return the decision in brackets of this shape, or None."""
        candidates = [
            Decided(
                bracket.meaning,
                self._around.certainty(bracket.start, bracket.end),
                bracket.shown,
                self._aspect(bracket.start),
            )
            for bracket in self._joined([*self._found(shape)])
            if not self._around.aside(bracket.start, bracket.end)
        ]
        if not candidates:
            return None
        most = max(decided.certainty for decided in candidates)
        last = next(decided for decided in reversed(candidates) if decided.certainty == most)
        # A number in passing, or with another one after it at the end of the reply, must be the only one.
        for other in (*_must_agree(candidates, most), *_other_aspects(candidates, last)):
            if other.meaning != last.meaning:
                return Decided(NO_RATING, most, f"{last.shown}]] or [[{other.shown}")
        return last

    def _found(self, shape: re.Pattern[str]) -> Iterator[Bracket]:
        for found in deque(shape.finditer(self._text), maxlen=_MOST):
            meaning = self._meaning(found[1], found.start(), found.end())
            if meaning is not None:
                yield Bracket(found.start(), found.end(), meaning, found[1].strip())

    def _meaning(self, inside: str, start: int, end: int) -> Meaning:
        if self._on_another_scale(start, end):
            return None
        meaning = self._mean(inside)
        if meaning is None and not is_placeholder(inside) and self._around.announced(start):
            return NO_RATING
        return meaning

    def _on_another_scale(self, start: int, end: int) -> bool:
        """Return whether the surrounding words name another top of the scale than the one asked for."""
        line = self._text.rfind("\n", 0, start) + 1
        before, after = _TOP_BEFORE.search(self._text, line, start), _TOP_AFTER.match(self._text, end)
        tops = [top for found in (before, after) if found for top in found.groups() if top]
        return bool(self._ends) and any(float(top) != self._ends[-1] for top in tops)

    def _aspect(self, start: int) -> str:
        """Return the label before a bracket if it names only a part of what is rated, else ""."""
        line = self._text.rfind("\n", 0, start) + 1
        label = _LABEL.search(self._text[max(line, start - _LABELLED) : start])
        name = "" if label is None else label[1].strip(' *_`"')
        whole = _OF_THE_WHOLE.search(name) or re.fullmatch(rf"(?:{self._word})", name, re.IGNORECASE)
        return "" if whole or _ONE_IN_TURN.fullmatch(name) else name

    def _joined(self, brackets: list[Bracket]) -> list[Bracket]:
        """Return the brackets, with pairs joined by a word (such as "or") replaced by one bracket or none."""
        joined: list[Bracket] = []
        for bracket in brackets:
            if not joined or (pair := self._pair(joined[-1], bracket)) is bracket:
                joined.append(bracket)
            else:
                joined[-1:] = [pair]
        return [bracket for bracket in joined if bracket.meaning is not None]

    def _pair(self, first: Bracket, second: Bracket) -> Bracket:
        """Return the meaning of two brackets together; the second one if they are independent."""
        between = self._text[first.end : second.start]
        if _OUT_OF.fullmatch(between) and self._ends and second.meaning == self._ends[-1]:
            return Bracket(first.start, second.end, first.meaning, first.shown)
        if first.meaning is None or not (_RANGE.fullmatch(between) or _OUT_OF.fullmatch(between)):
            return second
        whole = (first.meaning, second.meaning) == tuple(self._ends)
        alike = first.meaning == second.meaning
        meaning = None if whole else first.meaning if alike else NO_RATING
        shown = first.shown if alike else f"{first.shown}]]{between}[[{second.shown}"
        return Bracket(first.start, second.end, meaning, shown)


def _other_aspects(candidates: Sequence[Decided], last: Decided) -> Sequence[Decided]:
    """Return ratings of other parts than `last`; if there are any, nothing rates the whole."""
    return [decided for decided in candidates if last.aspect and decided.aspect not in ("", last.aspect)]


def _must_agree(candidates: Sequence[Decided], most: Certainty) -> Sequence[Decided]:
    """Return the brackets that must agree with the last one of the greatest weight to be unambiguous."""
    if most is Certainty.PASSING:
        return [decided for decided in candidates if decided.meaning is not NO_RATING]
    return [candidates[-1]] if candidates[-1].certainty is Certainty.CLOSING else []
