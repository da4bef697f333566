"""Thinking that uses up the room for a reply gets more of it, once; and what is paid for is kept."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.judging.chats import KEY, a_spec
from tests.servers.http import Request, Response
from tests.servers.openai_server import OpenAIServer, completion, error
from tvmerge._util.cache import ContentCache
from tvmerge.errors import BudgetError
from tvmerge.judging.client.budget import Budget
from tvmerge.judging.client.chat import ChatModel, ChatReply
from tvmerge.judging.client.ledger import Ledger
from tvmerge.judging.client.pipeline import pipeline
from tvmerge.judging.client.reask import UnusableError
from tvmerge.judging.client.request_policy import RequestPolicy
from tvmerge.judging.prompts.reply_format import RatingFormat
from tvmerge.judging.registry import create_chat

GOOD = "Rating: [[7]]"


class Thinker(OpenAIServer):
    """A model that thinks for so many tokens before it rates."""

    def __init__(self, thinks: int, *, at_most: int = 10**6, aloud: bool = False) -> None:
        super().__init__(script=self._think)
        self._thinks = thinks
        self._at_most = at_most
        self._aloud = aloud

    @property
    def limits(self) -> list[int]:
        """The limits that it was sent."""
        return [_limit(request) for request in self.requests if request.body]

    def _think(self, request: Request, number: int) -> Response:
        limit = _limit(request)
        if limit > self._at_most:
            return error(400, f"max_tokens is too large: {limit} > {self._at_most}", param="max_tokens")
        if limit > self._thinks:
            return completion(GOOD)
        return completion("<think>let me see" if self._aloud else None, finish="length", usage=(100, limit))


def _limit(request: Request) -> int:
    body = request.body
    return int(body.get("max_tokens") or body["max_completion_tokens"])


async def ask(server: OpenAIServer, *prompts: str, notes: list[str] | None = None, **settings: Any) -> Any:
    """The replies, or what is raised instead of one; one after another."""
    parameters = settings.pop("parameters", {})
    spec = a_spec(server.base_url, parameters=parameters, price_input=1.0, price_output=10.0)
    told = [] if notes is None else notes
    chat = pipeline(
        create_chat(spec, {"TEST_KEY": KEY}), spec, RequestPolicy(note=told.append, patience=0, **settings)
    )
    try:
        return [await _one(chat, prompt) for prompt in prompts]
    finally:
        await chat.close()


async def _one(chat: ChatModel, prompt: str) -> ChatReply | Exception:
    try:
        return await chat.send(chat.request("", prompt, RatingFormat()))
    except (UnusableError, BudgetError) as error:
        return error


@pytest.mark.parametrize("aloud", [False, True])
async def test_the_limit_is_raised_once_and_stays_so(aloud: bool) -> None:
    notes: list[str] = []
    with Thinker(5000, aloud=aloud) as server:
        replies = await ask(server, "a", "b", "c", notes=notes)
        assert server.limits == [2048, 8192, 8192, 8192]
    assert [reply.text for reply in replies] == [GOOD] * 3
    (note,) = notes
    assert "thinking has used up max_tokens = 2048; it is 8192 from now on" in note


async def test_what_needs_still_more_is_given_up_at_once_with_its_reason() -> None:
    with Thinker(10**6) as server:
        first, second = await ask(server, "a", "b", reasks=3)
        assert server.limits == [2048, 8192, 8192]
    for failure in (first, second):
        assert isinstance(failure, UnusableError)
        assert str(failure) == "cut off at the token limit: thinking took all of it"


async def test_a_limit_of_the_users_own_is_kept() -> None:
    with Thinker(5000) as server:
        await ask(server, "a", reasks=1, parameters={"max_tokens": 1000})
        assert server.limits == [1000, 1000]


async def test_words_that_are_cut_off_are_no_thoughts() -> None:
    with OpenAIServer(script=lambda request, number: completion("It is", finish="length")) as server:
        await ask(server, "a", reasks=1)
        assert [request.body["max_tokens"] for request in server.requests] == [2048, 2048]


async def test_a_provider_that_refuses_the_larger_limit_is_asked_with_the_first_from_then_on() -> None:
    notes: list[str] = []
    with Thinker(5000, at_most=4096) as server:
        first, second = await ask(server, "a", "b", reasks=0, notes=notes)
        assert server.limits == [2048, 8192, 2048]
    assert isinstance(first, UnusableError)
    assert isinstance(second, UnusableError)
    assert "refuses a limit of 8192 tokens" in notes[-1]


async def test_the_reply_is_stored_under_the_first_limit_so_another_run_finds_it(tmp_path: Path) -> None:
    cache = ContentCache(tmp_path)
    with Thinker(5000) as server:
        for _ in range(2):
            (reply,) = await ask(server, "a", cache=cache)
            assert reply.text == GOOD
        assert server.limits == [2048, 8192]
    cache.close()


async def test_both_calls_are_counted_and_the_second_is_reserved_at_its_own_price() -> None:
    ledger = Ledger()
    with Thinker(5000) as server:
        await ask(server, "a", ledger=ledger, budget=Budget(ledger, max_calls=2))
        assert ledger.calls == 2
        (failure,) = await ask(server, "b", budget=Budget(Ledger(), max_cost=0.05))
        assert server.limits == [2048, 8192, 2048]
    assert isinstance(failure, BudgetError)


async def test_requests_that_were_under_way_when_it_was_raised_are_asked_again_with_the_same_room() -> None:
    with Thinker(5000) as server:
        spec = a_spec(server.base_url)
        chat = pipeline(create_chat(spec, {"TEST_KEY": KEY}), spec, RequestPolicy(concurrency=4))
        replies = await asyncio.gather(*(_one(chat, str(number)) for number in range(4)))
        await chat.close()
        assert sorted(server.limits) == [2048] * 4 + [8192] * 4
    assert all(isinstance(reply, ChatReply) and reply.text == GOOD for reply in replies)


async def test_the_next_run_begins_with_the_room_that_was_needed(tmp_path: Path) -> None:
    notes: list[str] = []
    with Thinker(3000) as server:
        await ask(server, "a", cache=ContentCache(tmp_path))
        await ask(server, "b", "c", cache=ContentCache(tmp_path), notes=notes)
        assert server.limits == [2048, 8192, 8192, 8192]
    assert any("max_tokens = 8192 from the start" in note for note in notes)


async def test_a_limit_of_the_users_own_forgets_what_was_needed_before(tmp_path: Path) -> None:
    with Thinker(3000) as server:
        await ask(server, "a", cache=ContentCache(tmp_path))
        await ask(server, "b", cache=ContentCache(tmp_path), parameters={"max_tokens": 4000})
        assert server.limits == [2048, 8192, 4000]
