"""What a conversation may grow to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tvmerge.engines.prompting.chat_format import ChatFormat
from tvmerge.engines.prompting.conversation import conversations
from tvmerge.engines.prompting.replies import Reply
from tvmerge.records import Sampling
from tvmerge.testing.models import demo_questions

SAMPLING = Sampling(max_new_tokens=20)


@pytest.fixture(scope="module")
def chat(demo_models: Path) -> ChatFormat:
    return ChatFormat(demo_models / "target")


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_the_estimate_covers_every_turn_and_answer_and_little_more(chat: ChatFormat, turns: int) -> None:
    for question in demo_questions(12):
        texts = (*question.turns, *question.turns)[:turns]
        [talk] = conversations([replace(question, turns=texts)], SAMPLING)
        estimate = talk.extent(chat, None, SAMPLING)
        longest = chat.decode(chat.encode_text(question.turns[0] * 9)[-20:])
        while (prompt := talk.prompt(chat, None, SAMPLING)) is not None:
            end = len(prompt.ids) + SAMPLING.max_new_tokens
            talk.add(Reply(longest, "length"))
        # The template may add less to a later turn than to the first, with its system prompt.
        assert end <= estimate <= end + turns * 24


def test_a_conversation_grows_no_longer_than_the_context(chat: ChatFormat) -> None:
    [talk] = conversations(demo_questions(1), SAMPLING)
    assert talk.extent(chat, 50, SAMPLING) == 50


def test_a_question_that_is_cut_keeps_to_the_context(chat: ChatFormat) -> None:
    [talk] = conversations(demo_questions(1), SAMPLING)
    assert 0 < talk.extent(chat, 12, replace(SAMPLING, truncate=True)) <= 12
