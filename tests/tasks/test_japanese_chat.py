"""The benchmark of Japanese conversations that ships with tvmerge.

No module: the files in benchmarks/.
"""

from __future__ import annotations

import re
from collections import Counter

from tvmerge._util.assets import find
from tvmerge.scoring.split import split
from tvmerge.tasks.fastchat.benchmark import load_benchmark

BENCHMARK = load_benchmark(find("benchmarks", "japanese-chat"))
KANA = re.compile(r"[ぁ-んァ-ヶ]")
SIMPLIFIED_OR_HANGUL = re.compile(r"[这们说没对吗谢가-힣]")


def test_it_has_48_questions_numbered_in_order() -> None:
    assert [item.question_id for item in BENCHMARK.questions] == list(range(1, 49))


def test_its_categories_are_balanced() -> None:
    assert Counter(item.category for item in BENCHMARK.questions) == {
        "writing": 7,
        "roleplay": 7,
        "reasoning": 7,
        "common-sense": 7,
        "summarising": 6,
        "extraction": 7,
        "math": 7,
    }


def test_every_question_has_two_turns_in_japanese_and_none_occurs_twice() -> None:
    turns = [turn for item in BENCHMARK.questions for turn in item.turns]
    assert all(len(item.turns) == 2 for item in BENCHMARK.questions)
    assert all(KANA.search(turn) and not SIMPLIFIED_OR_HANGUL.search(turn) for turn in turns)
    assert len(set(turns)) == len(turns)


def test_exactly_the_reference_categories_have_a_reference_for_each_turn() -> None:
    assert BENCHMARK.settings.reference_categories == ("reasoning", "math")
    assert BENCHMARK.without_reference == ()
    for question in BENCHMARK.questions:
        needed = question.category in {"reasoning", "math"}
        assert question.needs_reference is needed
        assert len(question.reference) == (2 if needed else 0)
        assert all(KANA.search(text) for text in question.reference)


def test_it_describes_itself_and_sets_a_temperature_for_each_category() -> None:
    settings = BENCHMARK.settings
    assert "48" in settings.description
    assert {item.category for item in BENCHMARK.questions} <= set(settings.temperatures)
    assert settings.temperatures["writing"] == 0.7
    assert settings.temperatures["math"] == 0.0


def test_a_third_of_it_can_be_held_out_from_every_category() -> None:
    search, held = split(BENCHMARK.questions, 0.3, seed=42)
    assert (len(search), len(held)) == (34, 14)
    assert {item.category for item in held} == {item.category for item in search}
