"""What stands inside a judge's brackets: a rating, a verdict, a sign that there is none, or else."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

RATING_WORD: Final = (
    r"(?:(?:総合|最終|全体)(?:的な)?)?(?:評価|評点|採点|点数|得点|スコア|評定)(?:点|値|結果|スコア)?"
    r"|(?:\b(?:overall|final|total)\s+)?\b(?:ratings?|rated?|scored?|scores|grade|mark)\b"
)
"""What a rating is called where a judge announces one."""

VERDICT_WORD: Final = (
    r"(?:(?:総合|最終|全体)(?:的な)?)?(?:判定|評価|結論|勝者|結果|優れた回答)"
    r"|(?:\b(?:overall|final|my)\s+)?\b(?:verdict|winner|decision|conclusion|judge?ment|rating|choice)\b"
)
"""What a verdict is called where a judge announces one."""


class Void:
    """Stands where a rating or a verdict should stand, and is none."""


Meaning = float | str | Void | None
"""A rating, a verdict, no rating where one was due, or None for what takes no part in judging."""

VOID: Final = Void()

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
    """`text` with full-width digits and brackets, circled digits and the like as plain ones (NFKC)."""
    return unicodedata.normalize("NFKC", text)


def number_in(text: str, high: float) -> float | None:
    """The number that `text` is, with or without a unit and the top of its scale: `8`, `8点`, `8/10`.

    A top that is not `high` makes it no number: who rates on another scale means something else.
    """
    found = _NUMBER.fullmatch(_bare(normalised(text)))
    if found is None or any(top is not None and float(top) != high for top in found.group("before", "after")):
        return None
    return float(found["number"].replace(",", "."))


def rating_in(inside: str, low: float, high: float) -> Meaning:
    """What brackets that hold `inside` say where a rating from `low` to `high` is asked for."""
    text = _after_label(inside, RATING_WORD)
    number = number_in(text, high)
    if number is not None:
        return number if low <= number <= high else VOID
    if any(character.isnumeric() for character in text) or _NONE.fullmatch(text):
        return VOID
    return None


def verdict_in(inside: str) -> Meaning:
    """What brackets that hold `inside` say where A, B or C (a tie) is asked for."""
    text = _after_label(inside, VERDICT_WORD)
    if (side := _SIDE.fullmatch(text)) and side[1].isupper():
        return side[1]
    if _TIE.fullmatch(text):
        return "C"
    return VOID if _NO_VERDICT.fullmatch(text) or _NONE.fullmatch(text) else None


def is_placeholder(inside: str) -> bool:
    """Whether brackets only show where a rating goes, as `[[rating]]` does."""
    return _PLACEHOLDER.fullmatch(_bare(inside)) is not None


def _bare(text: str) -> str:
    return text.strip(_DECORATION)


def _after_label(inside: str, word: str) -> str:
    """`inside` without what announces a rating: `評価：8` is `8`."""
    text = _bare(inside)
    label = re.match(rf"(?:{word})[{re.escape(_DECORATION)}]*(?:は|が|is\b|[:=])", text, re.IGNORECASE)
    return text if label is None else _bare(text[label.end() :])
