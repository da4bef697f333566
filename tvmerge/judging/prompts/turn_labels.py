"""Finds the words with which a judge says which turn it rates: `Turn 1`, `first answer`, `2ターン目の回答`.

Texts are normalised, so digits are ASCII.
"""

from __future__ import annotations

import re
from typing import Final

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_CARDINALS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_KANJI = tuple("一二三四五六七八九十")
_NUMBERS = {
    word: number
    for words in (_ORDINALS, _CARDINALS, _KANJI, ("最初",))
    for number, word in enumerate(words, start=1)
}

_DIGITS = "[0-9]{1,3}"
_ENGLISH = r"(?:turn|round|question|answer|response|reply)"
_JAPANESE = r"(?:ターン|質問|回答|応答)"
_JAPANESE_NUMBER = rf"(?:{_DIGITS}|[{''.join(_KANJI)}])"

TURN_WORD: Final = (
    rf"(?<![A-Za-z])(?:{_ENGLISH}[\s*_#]*(?:{_DIGITS}|{'|'.join(_CARDINALS)})|[QT]{_DIGITS}"
    rf"|(?:{_DIGITS}(?:st|nd|rd|th)|{'|'.join(_ORDINALS)})\s+{_ENGLISH})(?![A-Za-z0-9])"
    rf"|(?:{_JAPANESE}|問)\s*{_JAPANESE_NUMBER}"
    rf"|第\s*{_JAPANESE_NUMBER}\s*(?:{_JAPANESE}|回|問)目?(?:の\s*{_JAPANESE})?"
    rf"|{_JAPANESE_NUMBER}\s*(?:ターン|回|問|つ|番|個)目(?:の\s*{_JAPANESE})?"
    rf"|最初の\s*{_JAPANESE}"
)
"""Words that name one turn; without groups."""

AVERAGE_WORD: Final = r"総合|全体|合計|平均|\b(?:overall|total|average|mean|sum|combined|whole)\b"
"""Words that announce one rating of all turns."""

_TURN = re.compile(TURN_WORD, re.IGNORECASE)
_NUMBER = re.compile("|".join((_DIGITS, *_ORDINALS, *_CARDINALS, *_KANJI, "最初")), re.IGNORECASE)
_LEAD = r"^[ \t*_>#(|•・-]*"
_HEADING = re.compile(rf"{_LEAD}(?:({TURN_WORD})|({_DIGITS})[.):|][\s*_])", re.IGNORECASE)
_BARE = re.compile(rf"({_LEAD})({_DIGITS})[^\S\n]*[.):|][^\S\n*_|)]*(?=\[)", re.MULTILINE)
_SET_OFF = re.compile(
    rf"(?:[(\[【<「]\s*({TURN_WORD})\s*[)\]】>」]\s*:?|({TURN_WORD})\s*[–—→])\s*(?=\[)", re.IGNORECASE
)
_QUOTED = re.compile(
    rf"({_LEAD})[\"「“]((?:{TURN_WORD})[^\n\"」”]*)[\"」”]([.。]?[^\S\n]*)$", re.IGNORECASE | re.MULTILINE
)


def with_plain_labels(text: str) -> str:
    """Return `text` with labels of other forms written as `Turn 1: `.

    They are the numbers of a list (`1. [[7]]`), labels in brackets or before a dash (`【ターン1】[[7]]`),
    and lines that quote the form asked for (`"Turn 1: [[7]]"`).
    """
    text = _QUOTED.sub(r"\1\2\3", text)
    text = _SET_OFF.sub(lambda found: f"{found[1] or found[2]}: ", text)
    return _BARE.sub(r"\1Turn \2: ", text)


def turns_named(line: str) -> set[int]:
    """Return the turns that `line` names."""
    return {_number(found[0]) for found in _TURN.finditer(line)}


def turns_of_headings(text: str) -> set[int]:
    """Return the turns with which lines of `text` begin, as in `### Turn 1` or `1. `."""
    headings = filter(None, map(_HEADING.match, text.split("\n")))
    return {_number(found[1] or found[2]) for found in headings}


def _number(label: str) -> int:
    found = _NUMBER.search(label)
    assert found is not None, "a label has a number"
    word = found[0].lower()
    return int(word) if word.isdecimal() else _NUMBERS[word]
