"""Classifies a bracket by the words around it: a judge's rating, a passing mention, or a quotation.

English and Japanese words on the line of the bracket are considered.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from enum import IntEnum
from functools import cache
from typing import Final, NamedTuple

_REACH = 120
"""Number of characters examined before and after a bracket."""

_DECORATION: Final = r"(?:[\s*_`~\"'“”‘’「」『』(){}$>#|•・-]|\\boxed|\\text)"
_LINKS: Final = (
    r"(?:は|が|を|に|と|も|[,、]|→|=>"
    r"|\b(?:is|of|as|an?|to|at|with|be|would|this|it|the|that|response|answer)\b)"
)
_TOP: Final = (
    r"満点|最(?:高|低)(?:点|評価|得点|スコア)?|上限|下限|最(?:大|小)(?:値|点)?"
    r"|\b(?:max(?:imum)?|min(?:imum)?|highest|lowest|top|best|worst)\b(?:\s+possible)?(?:\s+(?:score|rating|mark))?"
)
_EXAMPLE: Final = r"(?:例えば|たとえば|例|\be\.g\.|\b(?:for\s+(?:example|instance)|such\s+as|example)\b)"
_NOT_AFTER = re.compile(
    r"[\s*_`」』”\"']*(?:点|points?)?\s*(?:"
    rf"満点|が(?:{_TOP})|\b(?:is|being)\s+the\s+(?:{_TOP})|中[,、\s\[]"
    r"|[\s*_`」』”\"')]*(?:"
    r"に(?:は|も|まで)?(?:及ば|届か|満たな|至ら|達し)|まで(?:は|には)?(?:及ば|届か|いか|行か)"
    r"|では?(?:な[くいか]|ありません)|とは(?:な|言え|いえ)|より|以上(?!です|$)|以下|未満"
    r"|[をもは]?\s*(?:ご)?参照|(?:の|という|といった)(?:ような)?(?:例|形式|書式|フォーマット)|のような|は例"
    r"|なら|の(?:場合|とき|時)|\bif\b))",
    re.IGNORECASE,
)
_QUOTES = (
    *(re.compile(pattern) for pattern in (r"「[^「」]*」", r"『[^『』]*』", r"“[^“”]*”", r"‘[^‘’]*’")),
    *(re.compile(p) for p in (r"\"[^\"\n]*\"", r"(?<!`)`[^`\n]+`(?!`)", r"(?<![\w'])'[^'\n]*'(?![\w'])")),
)
_SPECIAL_TOKEN = re.compile(r"</?[\w:]+>|</?\|[\w|]+\|>|\[/?INST\]")
_PARENTHESIS = re.compile(r"\([^()\n]*\)")
_EMPTY_WORDS = re.compile(r"[\s*_`~\"'“”‘’「」『』(){}$>#|.。!,;-]+")
_DECIDING = re.compile(
    r"(?:点|ポイント|points?)?(?:(?:/|outof)\d+)?(?:点満点)?"
    r"(?:です|だ|である|とします|とする|とした|と(?:評価|判断|採点)(?:します|する|した|しました)|[にと]なります"
    r"|[にと]なる|が(?:妥当|適切|相当)(?:です|である|だ)?|を(?:付け|つけ|与え)(?:ます|る|ました|た)"
    r"|overall|intotal)?",
    re.IGNORECASE,
)


class Certainty(IntEnum):
    """How certain it is that a bracket is the judge's decision."""

    PASSING = 1
    """Mentioned within a sentence."""
    CLOSING = 2
    """At the end of the reply."""
    STATED = 3
    """Announced as a rating, or alone on its line."""


class Surroundings:
    """The text around the brackets of a reply.

    Args:
        text: The reply, normalised.
        word: A pattern of the words that announce what is looked for.
    """

    def __init__(self, text: str, word: str) -> None:
        self._text = text
        self._patterns = _patterns(word)
        self._quotes = _quotes(text)
        self._first = len(text) - len(text.lstrip())
        self._last = len(text.rstrip())

    def announced(self, start: int) -> bool:
        """Return whether the words before `start` announce the rating."""
        return self._patterns.announces.search(self._before(start)) is not None

    def aside(self, start: int, end: int) -> bool:
        """Return whether the text is a quotation, an example, an end of the scale, a reference or negated."""
        before, after = self._before(start), self._after(end)
        if not before.strip():
            # A line that ends with a colon introduces the next one.
            above = self._text[max(0, start - _REACH) : start].rstrip()
            before = above[above.rfind("\n") + 1 :] if above.endswith(":") else before
        if self._patterns.not_before.search(before) or _NOT_AFTER.match(after):
            return True
        return any(not self._is_statement(begin, close) for begin, close in self._around(start, end))

    def certainty(self, start: int, end: int) -> Certainty:
        """Return how certain it is that the text from `start` to `end` is the judge's rating."""
        if self.announced(start) or self._fills_its_line(start, end):
            return Certainty.STATED
        rest = self._text[end : end + _REACH]
        return Certainty.CLOSING if end + _REACH >= self._last and _decides(rest) else Certainty.PASSING

    def _around(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield the quotations that contain `start` to `end`, at most one per kind of quotation mark."""
        for spans in self._quotes:
            index = bisect_left(spans, (start, 0)) - 1
            if index >= 0 and end <= spans[index][1]:
                yield spans[index]

    def _is_statement(self, begin: int, close: int) -> bool:
        """Return whether a quotation states the rating: announced, or the whole first or last line."""
        if self.announced(begin) and _decides(self._after(close)):
            return True
        opens = begin - len(self._before(begin)) <= self._first
        closes = close + len(self._after(close)) >= self._last
        return (opens or closes) and self._fills_its_line(begin, close)

    def _fills_its_line(self, start: int, end: int) -> bool:
        lead = self._patterns.lead.fullmatch(self._before(start))
        return lead is not None and _decides(self._after(end))

    def _before(self, start: int) -> str:
        """Return the line up to `start`."""
        line = self._text.rfind("\n", 0, start) + 1
        return self._text[max(line, start - _REACH) : start]

    def _after(self, end: int) -> str:
        """Return the line from `end` on."""
        line = self._text.find("\n", end)
        return self._text[end : min(len(self._text) if line < 0 else line, end + _REACH)]


class _Patterns(NamedTuple):
    """Patterns of the text before a bracket."""

    announces: re.Pattern[str]
    """Announces the rating."""
    lead: re.Pattern[str]
    """Announces the rating and says nothing else, or is empty."""
    not_before: re.Pattern[str]
    """Indicates that no rating follows."""


@cache
def _patterns(word: str) -> _Patterns:
    announced = (
        rf"(?:{word})(?:\s*\([^()\n]*\))?"
        rf"(?:[^.。!?\n\[\]「『\"“`]{{0,30}}[:=]|(?:{_DECORATION}|{_LINKS})*){_DECORATION}*"
    )
    nothing = (
        rf"(?:(?:{_TOP})\s*(?:は|が|[:=]|\bis\b)"
        r"|\b(?:out|max(?:imum)?|min(?:imum)?|scale)\s+(?:of|from)\b"
        r"|\b(?:not|never|rather\s+than|instead\s+of|short\s+of|than|below|above|see|cf\.?|refer\s+to)"
        r"(?:\s+(?:an?|the|quite|full|perfect))*"
        rf"|{_EXAMPLE}(?:[\s,:、は]+(?:(?:{word})\s*[:は]?)?)?)"
        rf"{_DECORATION}*"
    )
    return _Patterns(
        re.compile(rf"{announced}$", re.IGNORECASE),
        re.compile(rf"{_DECORATION}*(?:{announced})?", re.IGNORECASE),
        re.compile(rf"{nothing}$", re.IGNORECASE),
    )


def _quotes(text: str) -> Sequence[Sequence[tuple[int, int]]]:
    """Return the start and end of quotations, in order, for each kind of quotation mark."""
    return [[found.span() for found in pattern.finditer(text)] for pattern in _QUOTES]


def _decides(after: str) -> bool:
    """Return whether the words after a bracket only end the sentence: `です。`, `(10点満点)</s>`."""
    words = _PARENTHESIS.sub("", _SPECIAL_TOKEN.sub("", after))
    return _DECIDING.fullmatch(_EMPTY_WORDS.sub("", words)) is not None
