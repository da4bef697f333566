"""Requests that are counted instead of sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.judging.chats import LocalChat, a_request
from tests.judging.virtual_time import run
from tvmerge._util.cache import ContentCache
from tvmerge.judging.client.chat import ChatReply, ChatRequest, Usage
from tvmerge.judging.client.pipeline import pipeline
from tvmerge.judging.client.reask import UnusableError
from tvmerge.judging.client.request_counter import Calls, RequestCounter
from tvmerge.judging.client.request_policy import RequestPolicy
from tvmerge.judging.client.tokens import most_tokens
from tvmerge.judging.spec import JudgeSpec


def test_what_is_stored_is_told_apart_from_what_would_be_sent_and_nothing_is_sent(tmp_path: Path) -> None:
    sent: list[ChatRequest] = []

    async def answer(request: ChatRequest) -> ChatReply:
        sent.append(request)
        return ChatReply("Rating: [[7]]", "stop", Usage(1, 1))

    spec, counter = JudgeSpec("mine", "openai", model="m"), RequestCounter()
    stored, new = a_request("one"), a_request("two")

    async def ask() -> None:
        paid = pipeline(LocalChat(answer), spec, RequestPolicy(cache=ContentCache(tmp_path)))
        await paid.send(stored)
        await paid.close()
        counted = pipeline(
            LocalChat(answer), spec, RequestPolicy(cache=ContentCache(tmp_path), counter=counter)
        )
        await counted.send(stored)
        with pytest.raises(UnusableError):
            await counted.send(new)
        await counted.close()

    run(ask())
    assert sent == [stored]
    most = most_tokens(new)
    assert counter.take() == ({"mine": Calls(1, most.input, most.output, most)}, 1)
    assert counter.take() == ({}, 0)
