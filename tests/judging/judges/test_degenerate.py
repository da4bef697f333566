"""Which answers get the floor score without a judge."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tvmerge.judging.judges.degenerate import why_degenerate, why_unjudgeable
from tvmerge.records import Answer


@pytest.mark.parametrize("text", ["", "  \n\t　"])
def test_an_empty_answer_is_degenerate(text: str) -> None:
    assert why_degenerate(text) == "empty answer"


@pytest.mark.parametrize(
    "text",
    [
        "はい。" * 10,
        "これは長い前置きです。" + "そうです、" * 6,
        "a" * 30,
        "東京は日本の首都です。" * 6,
        "\n".join(["同じ行です。"] * 8),
        "the the the the the the the the th",
    ],
)
def test_an_answer_that_ends_in_a_loop_is_degenerate(text: str) -> None:
    assert why_degenerate(text) == "endless repetition"


@pytest.mark.parametrize(
    "text",
    [
        "東京です。",
        "a" * 29,
        "そうです、" * 5,
        "東京は日本の首都です。" * 5,
        "はい" * 14,
        "wwwwwwwwwwww",
        "ab" * 20 + " and so on, which ends it",
        "一、二、三、四、五、六、七、八、九、十、十一、十二、十三",
    ],
)
def test_a_real_answer_is_not(text: str) -> None:
    assert why_degenerate(text) == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ab" * 500_000 + "c", ""),
        (("a" * 26 + "b") * 100_000, "endless repetition"),
        ("ab" * 9 + "c" * 29, ""),
    ],
)
def test_a_long_answer_is_looked_through_once(text: str, why: str) -> None:
    assert why_degenerate(text) == why


@given(st.text(min_size=1, max_size=20), st.integers(6, 20), st.text(max_size=20))
def test_six_repetitions_over_thirty_characters_are_enough(unit: str, times: int, before: str) -> None:
    assume(len(unit * times) >= 30 and (before + unit * times).strip() == before + unit * times)
    assert why_degenerate(before + unit * times) == "endless repetition"


def test_where_the_model_was_still_thinking_there_is_no_answer() -> None:
    answer = Answer(1, ("", "東京です。", ""), ("thought", "stop", "stop"), thoughts=("hm", "so", ""))
    assert [why_unjudgeable(answer, turn) for turn in (1, 2, 3)] == [
        "no answer: cut in thought",
        "",
        "empty answer",
    ]
