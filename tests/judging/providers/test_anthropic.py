"""The Anthropic provider against a real server, through the real SDK."""

from __future__ import annotations

import traceback
from typing import Any

import pytest

from tests.judging.chats import KEY, a_spec
from tests.servers.anthropic_server import AnthropicServer, error, message
from tests.servers.http import Request, Response
from tvmerge.errors import CredentialsError, QuotaError, RequestError, TransientError, TvmergeError
from tvmerge.judging.client.chat import ChatReply, TooLongError, Usage
from tvmerge.judging.client.rate_headers import RateLimits
from tvmerge.judging.prompts.reply_format import RatingFormat
from tvmerge.judging.providers.anthropic import AnthropicChat
from tvmerge.judging.spec import JudgeSpec

FORM = RatingFormat()


def spec_of(server: AnthropicServer, model: str = "claude-test-4", **settings: object) -> JudgeSpec:
    return a_spec(server.base_url, provider="anthropic", model=model, **settings)


async def ask(server: AnthropicServer, **settings: Any) -> ChatReply:
    chat = AnthropicChat(spec_of(server, **settings), KEY)
    try:
        return await chat.send(chat.request("Be fair.", "この答えを評価して", FORM))
    finally:
        await chat.close()


async def test_what_is_keyed_is_what_is_sent() -> None:
    with AnthropicServer() as server:
        chat = AnthropicChat(spec_of(server, parameters={"top_k": 1}), KEY)
        request = chat.request("Be fair.", "この答えを評価して", FORM)
        reply = await chat.send(request)
        await chat.close()
        assert server.requests[0].body == request.body
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert request.body == {
        "model": "claude-test-4",
        "system": "Be fair.",
        "messages": [{"role": "user", "content": "この答えを評価して"}],
        "max_tokens": 2048,
        "temperature": 0,
        "top_k": 1,
    }
    assert reply.usage == Usage(100, 20)
    assert "[[1]]?" not in reply.text
    assert not request.fault_of(reply)


@pytest.mark.parametrize("model", ["claude-opus-4-7", "claude-sonnet-5-5"])
async def test_new_models_get_no_temperature_and_room_to_think(model: str) -> None:
    with AnthropicServer() as server:
        await ask(server, model=model)
        assert set(server.requests[0].body) == {"model", "system", "messages", "max_tokens"}
        assert server.requests[0].body["max_tokens"] > 10_000


async def test_a_structured_form_sends_its_schema() -> None:
    with AnthropicServer() as server:
        chat = AnthropicChat(spec_of(server), KEY)
        body = chat.request("", "x", RatingFormat(structured=True)).body
        await chat.close()
    assert body["output_config"]["format"] == {"type": "json_schema", "schema": FORM.schema}
    assert "system" not in body


async def test_a_schema_leaves_the_effort_that_the_judges_file_sets() -> None:
    with AnthropicServer() as server:
        chat = AnthropicChat(spec_of(server, parameters={"output_config": {"effort": "medium"}}), KEY)
        plain, structured = (
            chat.request("", "x", RatingFormat(structured=structured)).body["output_config"]
            for structured in (False, True)
        )
        await chat.close()
    assert plain == {"effort": "medium"}
    assert structured == {"effort": "medium", "format": {"type": "json_schema", "schema": FORM.schema}}


async def test_rate_limits_are_read_from_the_response() -> None:
    with AnthropicServer(headers={"anthropic-ratelimit-requests-limit": "50"}) as server:
        assert (await ask(server)).limits == RateLimits(requests=50)


@pytest.mark.parametrize(
    ("response", "finish"),
    [
        (message("half", stop_reason="max_tokens"), "length"),
        (message("half", stop_reason="model_context_window_exceeded"), "length"),
        (message("", stop_reason="refusal"), "refused"),
        (message("x", stop_reason="pause_turn"), "other"),
        (message("", stop_reason="end_turn"), "stop"),
    ],
)
async def test_why_a_reply_ended_is_told(response: Response, finish: str) -> None:
    with AnthropicServer(script=lambda request, number: response) as server:
        assert (await ask(server)).finish == finish


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (error(429, "rate_limit_error", "slow down", headers={"retry-after": "2"}), TransientError),
        (error(529, "overloaded_error", "Overloaded"), TransientError),
        (error(500, "api_error", "crashed"), TransientError),
        (error(400, "invalid_request_error", "Your credit balance is too low"), QuotaError),
        (error(401, "authentication_error", f"invalid x-api-key {KEY}"), CredentialsError),
        (error(404, "not_found_error", "model: claude-9"), RequestError),
        (error(400, "invalid_request_error", "prompt is too long: 9 > 8"), TooLongError),
        (Response('{"content": ['), TransientError),
        (Response("null"), RequestError),
        (Response(message("[[1]]").body, breakage="reset"), TransientError),
        (Response(message("[[1]]").body, breakage="truncate"), TransientError),
    ],
)
async def test_failures_are_told_in_our_own_terms_without_the_key(
    response: Response, expected: type[TvmergeError]
) -> None:
    with AnthropicServer(script=lambda request, number: response) as server:
        with pytest.raises(expected) as caught:
            await ask(server)
        assert len(server.requests) == 1
    assert KEY not in "".join(traceback.format_exception(caught.value))


async def test_a_refused_temperature_is_learnt() -> None:
    def script(request: Request, number: int) -> Response | None:
        if "temperature" in request.body:
            return error(400, "invalid_request_error", "`temperature` is deprecated for this model.")
        return None

    with AnthropicServer(script=script) as server:
        chat = AnthropicChat(spec_of(server), KEY)
        with pytest.raises(RequestError):
            await chat.send(chat.request("", "x", FORM))
        reply = await chat.send(chat.request("", "x", FORM))
        await chat.close()
    assert reply.finish == "stop"
