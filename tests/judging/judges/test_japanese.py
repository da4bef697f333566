"""The share of Japanese script, told and enforced."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvmerge.judging.judges.japanese import JapaneseJudge, japanese_share
from tvmerge.judging.judges.rules import RulesJudge
from tvmerge.records import Answer, Judgment, Question, Rating, Unrated

QUESTION = Question("q", "writing", ("空の色は？",))


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("空は青いです。", 1.0),
        ("ｶﾀｶﾅとひらがな、漢字、々、ー。", 1.0),
        ("The sky is blue.", 0.0),
        ("青blue", 0.2),
        ("これはコードです：```python\nprint('hello world')\n```", 1.0),
        ("`x = 1` を使います。", 1.0),
        ("詳しくはhttps://example.com/a?b=cをご覧ください", 1.0),
        ("１２３ 456 !? 答え", 1.0),
        ("𠮷野家", 1.0),
        ("Ответ: да", 0.0),
        ("答えは```途中で切れた code", 9 / 13),
        ("```\nAll of it is English.", 0.0),
    ],
)
def test_the_share_is_that_of_kana_and_kanji_among_letters(text: str, share: float) -> None:
    found = japanese_share(text)
    assert found == pytest.approx(share, abs=0.2 if "http" in text else 1e-9)


@pytest.mark.parametrize("text", ["", "42", "3.14 + 1 = ?", "```code```", "https://example.com"])
def test_where_no_letters_are_left_nothing_is_told(text: str) -> None:
    assert japanese_share(text) is None


async def test_an_answer_without_a_rating_is_not_read() -> None:
    unrated = Unrated("q", 1, "judge", "single-v1", "counted, not sent")

    class Refusing:
        async def judge(self, question: Question, answer: Answer) -> Sequence[Judgment]:
            return [unrated]

    unread: Any = SimpleNamespace(turns=())
    judge: Any = Refusing()
    assert await JapaneseJudge(judge).judge(QUESTION, unread) == [unrated]


@given(st.text())
def test_a_share_is_a_share(text: str) -> None:
    share = japanese_share(text)
    assert share is None or 0 <= share <= 1


async def judged(answer: str, question: Question = QUESTION, **rule: Any) -> tuple[Judgment, Judgment]:
    plain: Sequence[Judgment] = await RulesJudge().judge(question, Answer("q", (answer,)))
    ruled = await JapaneseJudge(RulesJudge(), **rule).judge(question, Answer("q", (answer,)))
    return plain[0], ruled[0]


async def test_the_share_is_noted_and_costs_nothing_by_default() -> None:
    plain, noted = await judged("The sky is blue.")
    assert isinstance(plain, Rating)
    assert isinstance(noted, Rating)
    assert noted.score == plain.score
    assert noted.note.endswith("Japanese script 0.00")


async def test_too_little_japanese_costs_points_down_to_the_floor() -> None:
    for penalty in (2.0, 100.0):
        plain, ruled = await judged("The sky is blue.", min_share=0.5, penalty=penalty)
        assert isinstance(plain, Rating)
        assert isinstance(ruled, Rating)
        assert ruled.score == max(1.0, plain.score - penalty)
        assert "Japanese script 0.00, under 0.5" in ruled.note


async def test_enough_japanese_and_exempt_categories_cost_nothing() -> None:
    for answer, exempt in (("空は青いです。", ()), ("The sky is blue.", ("writing",)), ("42", ())):
        plain, ruled = await judged(answer, min_share=0.5, exempt=exempt)
        assert isinstance(plain, Rating)
        assert isinstance(ruled, Rating)
        assert ruled.score == plain.score


async def test_points_are_taken_down_to_the_low_end_of_the_scale() -> None:
    _, ruled = await judged("The sky is blue.", min_share=0.5, penalty=100.0, floor=0.0)
    assert isinstance(ruled, Rating)
    assert ruled.score == 0.0


def test_a_rule_that_takes_points_is_part_of_the_fingerprint() -> None:
    noting, ruling = JapaneseJudge(RulesJudge()), JapaneseJudge(RulesJudge(), min_share=0.5)
    assert noting.fingerprint == RulesJudge().fingerprint
    assert ruling.fingerprint != RulesJudge().fingerprint
    assert noting.name == "rules"
