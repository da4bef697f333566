"""Measures the fraction of Japanese script in an answer, and enforces a minimum on request."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING

from tvmerge.judging.judges.comparing import with_baseline
from tvmerge.records import Answer, Judgment, Question, QuestionId, Rating

if TYPE_CHECKING:
    from tvmerge.protocols import Judge

_LEFT_OUT = re.compile(r"```.*?```|`[^`\n]*`|https?://[^\s)）」』>]+", re.DOTALL)
_JAPANESE = re.compile(
    "[\u3005-\u3007\u3041-\u309f\u30a1-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]+"
)


def japanese_share(text: str) -> float | None:
    """Return the fraction of kana and kanji among the letters of `text`, in [0, 1].

    Code, URLs, numbers, punctuation and spaces are ignored. Code whose fence is never closed counts, or an
    answer could hide behind an open fence. Chinese is not distinguished from Japanese, since its characters
    are kanji.

    Returns:
        The fraction, or None if no letters are left, as in "42".
    """
    text = unicodedata.normalize("NFKC", _LEFT_OUT.sub(" ", text))
    letters = "".join(filter(str.isalpha, text))
    japanese = sum(map(len, _JAPANESE.findall(letters)))
    return japanese / len(letters) if letters else None


class JapaneseJudge:
    """Notes the fraction of Japanese script with each rating, and subtracts points if it is too low.

    Args:
        judge: The judge that rates.
        min_share: The minimum fraction without a penalty, or None to subtract no points.
        penalty: Points subtracted below the minimum.
        floor: The lowest score of the judge's scale.
        exempt: Categories whose answers need not be in Japanese, such as coding or translation.
    """

    def __init__(
        self,
        judge: Judge,
        *,
        min_share: float | None = None,
        penalty: float = 3.0,
        floor: float = 1.0,
        exempt: Collection[str] = (),
    ) -> None:
        self._judge = judge
        self._min_share = min_share
        self._penalty = penalty
        self._floor = floor
        self._exempt = frozenset(exempt)

    @property
    def name(self) -> str:
        """The name of the judge that rates."""
        return self._judge.name

    @property
    def fingerprint(self) -> Mapping[str, object]:
        """The fingerprint of the judge that rates, and of the penalty if there is one."""
        if self._min_share is None:
            return self._judge.fingerprint
        rule = {
            "min_share": self._min_share,
            "penalty": self._penalty,
            "exempt": sorted(self._exempt),
        }
        return {**self._judge.fingerprint, "japanese": rule}

    def with_baseline(self, answers: Mapping[QuestionId, Answer]) -> JapaneseJudge:
        """Return the same rule around a judge that compares with these answers."""
        judge = copy(self)
        judge._judge = with_baseline(self._judge, answers)
        return judge

    async def judge(self, question: Question, answer: Answer) -> Sequence[Judgment]:
        """Return the ratings, each with a note on the script."""
        judgments = await self._judge.judge(question, answer)
        return [self._noted(judgment, question, answer) for judgment in judgments]

    async def close(self) -> None:
        """Close the judge that rates."""
        await self._judge.close()

    def _noted(self, judgment: Judgment, question: Question, answer: Answer) -> Judgment:
        if not isinstance(judgment, Rating):
            return judgment
        share = japanese_share(answer.turns[judgment.turn - 1])
        if share is None:
            return judgment
        note = f"Japanese script {share:.2f}"
        score = judgment.score
        too_little = self._min_share is not None and share < self._min_share
        if too_little and question.category not in self._exempt:
            score = max(min(self._floor, score), score - self._penalty)
            note += f", under {self._min_share:g}: {judgment.score - score:g} points off"
        return replace(judgment, score=score, note="; ".join(filter(None, (judgment.note, note))))


if TYPE_CHECKING:
    _judge: type[Judge] = JapaneseJudge
