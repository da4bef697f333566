"""Properties of answers besides their score, which show how a merged model may have fooled a judge."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tvmerge.records import CUT_IN_THOUGHT, Unrated
from tvmerge.report.result import RunRecord, Sample

# Hiragana, katakana (including half-width forms), and common ideographs.
_JAPANESE = re.compile(r"[\u3041-\u309f\u30a1-\u30ff\u31f0-\u31ff\uff66-\uff9f\u3400-\u4dbf\u4e00-\u9fff]")
_KANA = re.compile(r"[\u3041-\u309f\u30a1-\u30ff]")


@dataclass(frozen=True, slots=True)
class AnswerStats:
    """Statistics of a set of answers.

    Attributes:
        turns: Number of answered turns.
        cut_off: Fraction of them that ended at the token limit, in [0, 1].
        cut_in_thought: Fraction of them that ended while the model was still thinking, in [0, 1].
        length: Mean number of characters per turn.
        japanese: Fraction of Japanese letters, in [0, 1]; None if no question is in Japanese.
        unrated: Number of judgments without a rating.
    """

    turns: int
    cut_off: float
    cut_in_thought: float
    length: float
    japanese: float | None
    unrated: int


def answer_stats(samples: Sequence[Sample]) -> AnswerStats | None:
    """Return statistics of a contender's answers, or None without an answer."""
    texts = [turn for sample in samples for turn in sample.answer.turns]
    if not texts:
        return None
    ends = [end for sample in samples for end in sample.answer.finish]
    return AnswerStats(
        turns=len(texts),
        cut_off=ends.count("length") / len(texts),
        cut_in_thought=ends.count("thought") / len(texts),
        length=sum(len(text) for text in texts) / len(texts),
        japanese=_japanese_share(texts) if _asked_in_japanese(samples) else None,
        unrated=sum(isinstance(j, Unrated) for sample in samples for j in sample.judgments),
    )


def has_thoughts(result: RunRecord) -> bool:
    """Return whether any candidate thinks before it answers, according to answers and trials."""
    answers = [sample.answer for contender in result.contenders for sample in contender.samples]
    return any(answer.thoughts for answer in answers) or any(
        trial.attrs.get(CUT_IN_THOUGHT) for trial in result.trials
    )


def _asked_in_japanese(samples: Sequence[Sample]) -> bool:
    return any(_KANA.search(turn) for sample in samples for turn in sample.question.turns)


def _japanese_share(texts: Sequence[str]) -> float:
    whole = "".join(texts)
    letters = sum(character.isalpha() for character in whole)
    return len(_JAPANESE.findall(whole)) / letters if letters else 0.0
