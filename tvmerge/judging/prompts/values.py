"""Interprets the text inside a judge's brackets: a rating, a verdict, a missing one, or something else."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

RATING_WORD: Final = (
    r"(?:(?:総合|最終|全体)(?:的な)?)?(?:評価|評点|採点|点数|得点|スコア|評定)(?:点|値|結果|スコア)?"
    r"|(?:\b(?:overall|final|total)\s+)?\b(?:ratings?|rated?|scored?|scores|grade|mark)\b"
)
"""Words with which a judge announces a rating."""

VERDICT_WORD: Final = (
    r"(?:(?:総合|最終|全体)(?:的な)?)?(?:判定|評価|結論|勝者|結果|優れた回答)"
    r"|(?:\b(?:overall|final|my)\s+)?\b(?:verdict|winner|decision|conclusion|judge?ment|rating|choice)\b"
)
"""Words with which a judge announces a verdict."""


class NoRating:
    """Something other than a rating or verdict where one is due."""


Meaning = float | str | NoRating | None
"""A rating, a verdict, a missing one, or None for text that is not about the rating."""

NO_RATING: Final = NoRating()

_DECORATION = " \t\r\n*_`~\"'“”‘’「」『』$#()"
_UNIT = r"(?:点|ポイント|points?|pts?\.?|stars?)"
_NUMBER = re.compile(
    rf"(?:(?P<before>[0-9]+)\s*点(?:満点)?(?:中|の?うち)\s*)?"
    rf"(?P<number>[0-9]+(?:\.[0-9]*|,[0-9])?)\s*{_UNIT}?"
    rf"(?:\s*(?:/|⁄|out\s+of|of)\s*(?P<after>[0-9]+)\s*(?:点満点|{_UNIT})?)?",
    re.IGNORECASE,
)
_SIDE = re.compile(
    r"(?:(?:the\s+)?(?:assistant|answer|model|response|アシスタント|回答|応答|モデル)\s*)?([ABC])",
    re.IGNORECASE,
)
_TIE = re.compile(r"(?:a\s+)?(?:tie|tied|draw|equal)|引き?分け|同等|同点|互角", re.IGNORECASE)
_NO_VERDICT = re.compile(r"[A-Za-z]|[ABC]\b.*", re.DOTALL)
_NONE = re.compile(
    r"n\.?/?\s?a\.?|none|null|nil|nan|no\s+(?:rating|score|verdict)|not?\s+\w+able|un(?:known|rated|scored|able.*)"
    r"|undefined|invalid|error|skip(?:ped)?|[-–—?？.・xX×]+"
    r"|(?:評価|採点|判定|判断|該当|回答)?(?:不能|不可|なし|無し|無効|不明|できません|できない)|無|対象外|保留"
    r"|zero|one|two|three|four|five|six|seven|eight|nine|ten",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(
    r"|(?:your\s+|the\s+)?(?:rating|score|number|grade|verdict|n|x|数字|数値|点数|評価|評点|スコア|判定|結果)",
    re.IGNORECASE,
)


def normalised(text: str) -> str:
    """Return `text` with full-width or circled digits, full-width brackets and so on made plain (NFKC)."""
    return unicodedata.normalize("NFKC", text)


def number_in(text: str, high: float) -> float | None:
    """Return the number in `text`, with or without a unit and the top of its scale: `8`, `8点`, `8/10`.

    Return None if the top is not `high`, since a number on another scale means something else.
    """
    found = _NUMBER.fullmatch(_bare(normalised(text)))
    if found is None or any(top is not None and float(top) != high for top in found.group("before", "after")):
        return None
    return float(found["number"].replace(",", "."))


def rating_in(inside: str, low: float, high: float) -> Meaning:
    """Return the meaning of brackets that contain `inside` if a rating in [`low`, `high`] is asked for."""
    text = _after_label(inside, RATING_WORD)
    number = number_in(text, high)
    if number is not None:
        return number if low <= number <= high else NO_RATING
    if any(character.isnumeric() for character in text) or _NONE.fullmatch(text):
        return NO_RATING
    return None


def verdict_in(inside: str) -> Meaning:
    """Return the meaning of brackets that contain `inside` if A, B or C (a tie) is asked for."""
    text = _after_label(inside, VERDICT_WORD)
    if (side := _SIDE.fullmatch(text)) and side[1].isupper():
        return side[1]
    if _TIE.fullmatch(text):
        return "C"
    return NO_RATING if _NO_VERDICT.fullmatch(text) or _NONE.fullmatch(text) else None


def is_placeholder(inside: str) -> bool:
    """Return whether brackets only show where a rating goes, as in `[[rating]]`."""
    return _PLACEHOLDER.fullmatch(_bare(inside)) is not None


def _bare(text: str) -> str:
    return text.strip(_DECORATION)


def _after_label(inside: str, word: str) -> str:
    """Return `inside` without the word that announces the rating: `評価：8` gives `8`."""
    text = _bare(inside)
    label = re.match(rf"(?:{word})[{re.escape(_DECORATION)}]*(?:は|が|is\b|[:=])", text, re.IGNORECASE)
    return text if label is None else _bare(text[label.end() :])
