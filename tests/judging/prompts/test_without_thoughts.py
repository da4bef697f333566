"""Which part of a judge's reply is no thought."""

from __future__ import annotations

import pytest

from tvmerge.judging.prompts.parsing import Unreadable
from tvmerge.judging.prompts.reply_format import RatingFormat, VerdictFormat
from tvmerge.judging.prompts.without_thoughts import without_thoughts

THOUGHTS = [
    "<think>maybe [[2]]</think>",
    "maybe [[2]]\n</think>\n",
    "<thinking>\n[[2]]\n</thinking>",
    "[THINK][[2]][/THINK]",
    "<reasoning>[[2]]</reasoning>\n",
    "◁think▷[[2]]◁/think▷",
    "<|channel|>analysis<|message|>[[2]]<|end|><|start|>assistant<|channel|>final<|message|>",
    "analysisLet me see: [[2]]assistantfinal",
    "<seed:think>[[2]]</seed:think>",
    "<reflection>[[2]]</reflection>",
    "<analysis>[[2]]</analysis>",
    "承知しました。\n<think>\n[[2]]\n</think>\n",
    "<think>a</think>よい。<think>[[2]]</think>",
]


@pytest.mark.parametrize("thought", THOUGHTS)
def test_what_is_thought_is_no_rating(thought: str) -> None:
    assert RatingFormat().read(f"{thought}評価：[[8]]") == 8
    assert isinstance(RatingFormat().read(f"{thought}以上です。"), Unreadable)
    assert RatingFormat(structured=True).read(f"{thought.replace('[[2]]', json_of(2))}{json_of(8)}") == 8
    assert VerdictFormat().read(f"{thought.replace('[[2]]', '[[A]]')}[[B]]") == 0


def json_of(rating: int) -> str:
    return f'{{"rating": {rating}}}'


@pytest.mark.parametrize(
    "reply",
    [
        "<think>[[2]]",
        "<think>\nThis is [[2]].\n\nRating: [[2]]",
        "はい。\n<thinking>\n[[2]]",
        "[THINK] [[2]]",
    ],
)
def test_a_reply_that_ends_within_a_thought_has_no_rating(reply: str) -> None:
    assert without_thoughts(reply) is None
    assert RatingFormat().read(reply) == Unreadable("the reply ends within a thought")


@pytest.mark.parametrize(
    "reply",
    [
        "The answer holds a `<think>` tag. Rating: [[3]]",
        "The answer leaks <think> into the text. Rating: [[3]]",
        "思考タグ「<think>」が残っている。評価：[[3]]",
    ],
)
def test_words_about_thoughts_are_none(reply: str) -> None:
    assert without_thoughts(reply) == reply
    assert RatingFormat().read(reply) == 3
