"""Tests of what every judge's chat model must do; subclass them to test a provider."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from tvmerge._util.canonical import canonical_json
from tvmerge.judging.client.chat import ChatModel
from tvmerge.judging.prompts.reply_format import RatingFormat

SYSTEM, USER = "You are an impartial judge.", "Rate this answer from 1 to 10."


class ChatModelContract:
    """The contract of chat models.

    Subclasses define the fixture `chat`: a model whose server replies with a rating to every request.

    Attributes:
        secrets: Texts that no request may contain, such as the API key.
    """

    secrets: ClassVar[tuple[str, ...]] = ()

    def test_the_same_question_makes_the_same_request(self, chat: ChatModel) -> None:
        form = RatingFormat()
        one, other = (chat.request(SYSTEM, USER, form, sample=1) for _ in range(2))
        assert one == other
        assert one.key == other.key

    def test_all_that_is_asked_is_part_of_the_key(self, chat: ChatModel) -> None:
        form = RatingFormat()
        requests = [
            chat.request(SYSTEM, USER, form),
            chat.request("", USER, form),
            chat.request(SYSTEM, f"{USER} Be strict.", form),
            chat.request(SYSTEM, USER, form, sample=1),
        ]
        assert len({request.key for request in requests}) == len(requests)

    def test_a_request_is_plain_data_and_holds_no_secret(self, chat: ChatModel) -> None:
        request = chat.request(SYSTEM, USER, RatingFormat())
        text = canonical_json(request.parts)
        assert USER in text
        assert request.provider
        assert not any(secret in text for secret in self.secrets)

    async def test_a_reply_holds_the_rating(self, chat: ChatModel) -> None:
        request = chat.request(SYSTEM, USER, RatingFormat())
        reply = await chat.send(request)
        assert reply.finish == "stop"
        assert request.fault_of(reply) == ""
        assert not reply.cached

    async def test_a_reply_says_what_it_took_where_the_provider_does(self, chat: ChatModel) -> None:
        reply = await chat.send(chat.request(SYSTEM, USER, RatingFormat()))
        assert reply.usage is None or min(reply.usage.input, reply.usage.output) >= 0

    async def test_requests_can_be_sent_at_the_same_time(self, chat: ChatModel) -> None:
        requests = [chat.request(SYSTEM, USER, RatingFormat(), sample=sample) for sample in range(6)]
        replies = await asyncio.gather(*map(chat.send, requests))
        assert {reply.finish for reply in replies} == {"stop"}
