"""A request's key, and what makes a reply useless."""

from __future__ import annotations

import pytest

from tvmerge.judging.client.chat import ChatReply, ChatRequest
from tvmerge.judging.prompts.reply_format import RatingFormat, VerdictFormat

BODY = {"model": "m", "messages": [{"role": "user", "content": "評価して"}], "temperature": 0}


def test_the_key_is_that_of_what_is_sent() -> None:
    request = ChatRequest("openai", "http://here/v1", BODY, RatingFormat())
    reordered = ChatRequest("openai", "http://here/v1", dict(reversed(BODY.items())), VerdictFormat())
    assert request.key == reordered.key
    assert len(request.key) == 64


@pytest.mark.parametrize(
    "other",
    [
        ChatRequest("cohere", "http://here/v1", BODY, RatingFormat()),
        ChatRequest("openai", "http://there/v1", BODY, RatingFormat()),
        ChatRequest("openai", "http://here/v1", BODY | {"temperature": 1}, RatingFormat()),
        ChatRequest("openai", "http://here/v1", BODY | {"seed": 1}, RatingFormat()),
        ChatRequest("openai", "http://here/v1", BODY, RatingFormat(), sample=1),
    ],
)
def test_any_difference_in_what_is_sent_makes_another_key(other: ChatRequest) -> None:
    assert other.key != ChatRequest("openai", "http://here/v1", BODY, RatingFormat()).key


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        (ChatReply("Rating: [[7]]", "stop"), ""),
        (ChatReply("Rating: [[7]]", "length"), "cut off at the token limit"),
        (ChatReply("Rating: [[7]]", "refused"), "refused by the provider"),
        (ChatReply("Rating: [[7]]", "failed"), "the provider failed within its reply"),
        (ChatReply("Rating: [[7]]", "other", finish_detail="weary"), ""),
        (ChatReply("seven", "other", finish_detail="weary"), "ended abnormally (weary)"),
        (ChatReply("7", "stop", before="quite good"), ""),
        (ChatReply("7", "stop"), "no [[rating]] in the reply"),
        (ChatReply(" \n", "stop"), "empty reply"),
        (ChatReply("seven", "stop"), "no [[rating]] in the reply"),
    ],
)
def test_only_a_complete_reply_with_a_rating_is_of_use(reply: ChatReply, fault: str) -> None:
    assert ChatRequest("openai", "http://here/v1", BODY, RatingFormat()).fault_of(reply) == fault
