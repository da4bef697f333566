"""Replies that are none, from each provider's server, through its real SDK.

Several modules: all providers get the same replies.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.judging.chats import KEY, a_spec
from tests.servers import anthropic_server, cohere_server, openai_server
from tests.servers.anthropic_server import AnthropicServer
from tests.servers.cohere_server import CohereServer
from tests.servers.http import Request, Response
from tests.servers.openai_server import OpenAIServer
from tvmerge.errors import ProviderError, QuotaError, RequestError, TransientError
from tvmerge.judging.client.chat import (
    ChatReply,
    ChatRequest,
    InvalidRequestError,
    NotJsonError,
    ParameterRefusedError,
    TooLongError,
)
from tvmerge.judging.prompts.reply_format import RatingFormat
from tvmerge.judging.registry import create_chat
from tvmerge.judging.wire.replies import read_json

SERVERS: dict[str, Callable[..., Any]] = {
    "openai": OpenAIServer,
    "anthropic": AnthropicServer,
    "cohere": CohereServer,
}
EVENTS = 'data: {"choices": [{"delta": {"content": "[["}}]}\n\ndata: {"choices": []}\n\ndata: [DONE]\n\n'
PAGE = "<!doctype html><html><head><title>Sign in</title></head></html>"


async def ask(provider: str, *responses: Response) -> ChatReply:
    """Ask a server that answers thus, the last of it for good, until requests are built as it wants them."""

    def script(request: Request, number: int) -> Response:
        return responses[min(number, len(responses) - 1)]

    with SERVERS[provider](script=script) as server:
        spec = a_spec(server.base_url, provider=provider, model="m")
        chat = create_chat(spec, {"TEST_KEY": KEY})

        def request() -> ChatRequest:
            return chat.request("Be fair.", "x", RatingFormat())

        try:
            for _ in responses[1:]:
                with pytest.raises(ParameterRefusedError):
                    await chat.send(request())
            return await chat.send(request())
        finally:
            await chat.close()


@pytest.mark.parametrize("provider", SERVERS)
@pytest.mark.parametrize(
    ("body", "expected", "words"),
    [
        (EVENTS, NotJsonError, "a stream of events where one JSON reply was asked for"),
        (PAGE, NotJsonError, r"a page of HTML \('Sign in'\)"),
        ("", TransientError, "the reply is"),
        ('{"half', TransientError, "not JSON"),
        ([], InvalidRequestError, r"not .*: \[\]"),
        (17, InvalidRequestError, "17"),
        ({"hello": 1}, InvalidRequestError, "hello"),
        (
            {"error": "Unexpected endpoint. (POST /x)"},
            InvalidRequestError,
            r"HTTP 200: Unexpected endpoint. \(POST /x\)",
        ),
        ({"detail": "Model not loaded"}, InvalidRequestError, "Model not loaded"),
        (
            {"success": False, "message": "No channel for model m"},
            InvalidRequestError,
            "HTTP 200: No channel for",
        ),
        ({"code": 500, "msg": "busy", "data": None}, TransientError, "HTTP 500: busy"),
        (
            {"error_code": 336003, "error_msg": "No such thing"},
            InvalidRequestError,
            "HTTP 200: No such thing",
        ),
        (
            {"choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}},
            QuotaError,
            "HTTP 200: insufficient balance",
        ),
        ("[" * 100_000, TransientError, "not JSON"),
        ({"error": {"code": 402, "message": "Pay"}}, QuotaError, "HTTP 402: Pay"),
        ({"error": {"code": 429, "message": "free-models-per-day"}}, QuotaError, "HTTP 429"),
        ({"error": {"code": 429, "message": "slow"}}, TransientError, "HTTP 429: slow"),
        ({"error": {"code": 403, "message": "flagged"}}, RequestError, "HTTP 403: flagged"),
        ({"error": {"code": 400, "message": "maximum context length is 8"}}, TooLongError, "context"),
        ({"error": {"code": 502, "message": "down"}}, TransientError, "HTTP 502: down"),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}}, TransientError, "Busy"),
    ],
)
async def test_a_success_that_is_no_reply_is_told_for_what_it_is(
    provider: str, body: Any, expected: type[ProviderError], words: str
) -> None:
    with pytest.raises(expected, match=words):
        await ask(provider, Response(body))


@pytest.mark.parametrize(
    ("body", "paid"), [('{"half', True), ("[" * 1000, True), (EVENTS, True), (PAGE, False), (" ", False)]
)
async def test_what_a_model_has_written_counts_as_paid_even_if_it_is_not_json(body: str, paid: bool) -> None:
    with pytest.raises(TransientError) as caught:
        await ask("openai", Response(body))
    assert caught.value.paid == paid


@pytest.mark.parametrize(
    ("provider", "body", "words"),
    [
        ("openai", anthropic_server.message("[[8]]").body, "a message of Anthropic's, not a chat completion"),
        ("openai", cohere_server.chat("[[8]]").body, "a reply of Cohere's chat, not a chat completion"),
        (
            "anthropic",
            openai_server.completion("[[8]]").body,
            "a chat completion, not a message of Anthropic's",
        ),
        ("cohere", openai_server.completion("[[8]]").body, "a chat completion, not a reply of Cohere's chat"),
    ],
)
async def test_the_reply_of_another_protocol_is_recognised(provider: str, body: Any, words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words) as caught:
        await ask(provider, Response(body))
    assert caught.value.certain


@pytest.mark.parametrize("provider", SERVERS)
async def test_each_provider_learns_from_words(provider: str) -> None:
    def refusal(words: str) -> Response:
        return Response({"message": words}, status=400)

    good = {
        "openai": openai_server.completion("[[8]]"),
        "anthropic": anthropic_server.message("[[8]]"),
        "cohere": cohere_server.chat("[[8]]"),
    }
    refusals = (refusal("temperature is not supported"), refusal("System role not supported"))
    assert (await ask(provider, *refusals, good[provider])).text == "[[8]]"


@pytest.mark.parametrize("provider", SERVERS)
@pytest.mark.parametrize(
    "body", ["nothing", "", PAGE, [], 7, None, {"detail": [{"loc": ["body"], "msg": "no"}]}, {"message": 7}]
)
@pytest.mark.parametrize("status", [400, 404, 503])
async def test_no_body_of_an_error_breaks_an_sdk(provider: str, body: Any, status: int) -> None:
    with pytest.raises(ProviderError, match=f"HTTP {status}: "):
        await ask(provider, Response(body, status=status))


@pytest.mark.parametrize("provider", SERVERS)
async def test_what_no_server_had_is_not_counted_as_sent(provider: str) -> None:
    with SERVERS[provider]() as server:
        spec = a_spec(server.base_url, provider=provider, model="m")
    chat = create_chat(spec, {"TEST_KEY": KEY})
    with pytest.raises(TransientError) as caught:
        await chat.send(chat.request("", "x", RatingFormat()))
    await chat.close()
    assert not caught.value.sent


@pytest.mark.parametrize("provider", SERVERS)
async def test_what_a_server_had_and_did_not_answer_is_counted(provider: str) -> None:
    with pytest.raises(TransientError) as caught:
        await ask(provider, Response({}, breakage="reset"))
    assert caught.value.sent


@pytest.mark.parametrize(
    ("body", "finish", "held"),
    [
        ({"choices": None, "id": "1", "note": "withheld"}, "stop", '{"choices": null, "note": "withheld"}'),
        ({"choices": []}, "stop", '{"choices": []}'),
        ({"object": "chat.completion", "usage": {}}, "stop", "{}"),
        (
            {"choices": [], "prompt_feedback": {"block_reason": "PROHIBITED_CONTENT"}},
            "refused",
            '{"choices": [], "prompt_feedback": {"block_reason": "PROHIBITED_CONTENT"}}',
        ),
    ],
)
async def test_what_stands_in_the_place_of_a_reply_is_told(body: Any, finish: str, held: str) -> None:
    reply = await ask("openai", Response(body))
    assert (reply.text, reply.finish, reply.finish_detail) == ("", finish, held)


async def test_an_empty_reply_says_what_the_body_held() -> None:
    reply = await ask("openai", Response({"choices": [], "note": "withheld"}))
    request = ChatRequest("openai", "", {"messages": []}, RatingFormat())
    assert request.fault_of(reply) == 'empty reply ({"choices": [], "note": "withheld"})'


async def test_a_failed_generation_is_a_reply() -> None:
    failed = {"message": "Failed to generate JSON.", "failed_generation": "I rate it [[7]]."}
    reply = await ask("openai", Response({"error": failed}, status=400))
    assert (reply.text, reply.finish) == ("I rate it [[7]].", "stop")


@pytest.mark.parametrize("kind", ["application/json; charset=shift_jis", "text/plain; charset=latin-1"])
async def test_a_reply_in_utf8_is_read_as_that_whatever_its_header_says(kind: str) -> None:
    said = openai_server.completion("良い。「評価」：[[8]]").body
    text = json.dumps(said, ensure_ascii=False)
    assert (await ask("openai", Response(text, content_type=kind))).text == "良い。「評価」：[[8]]"


async def test_a_limit_too_high_for_the_model_is_left_out() -> None:
    words = "max_tokens is too large: 2048. This model's maximum context length is 1024 tokens"
    refused = Response({"message": words}, status=400)
    other = Response({"message": words.replace("max_tokens", "max_completion_tokens")}, status=400)
    assert (await ask("openai", refused, other, openai_server.completion("[[8]]"))).text == "[[8]]"


@pytest.mark.parametrize("provider", SERVERS)
async def test_half_a_character_becomes_a_replacement_character(provider: str) -> None:
    said = {
        "openai": openai_server.completion("良い \ud83d😀 [[8]]"),
        "anthropic": anthropic_server.message("良い \ud83d😀 [[8]]"),
        "cohere": cohere_server.chat("良い \ud83d😀 [[8]]"),
    }
    assert (await ask(provider, said[provider])).text == "良い \ufffd😀 [[8]]"


async def test_choices_that_hold_nothing_are_not_called_another_protocol() -> None:
    with pytest.raises(InvalidRequestError, match="HTTP 200: not a chat completion"):
        await ask("openai", Response({"choices": [None]}))


def said(provider: str, text: object, word: object) -> Any:
    """The body of a reply that says `text` and ends with `word`."""
    if provider == "anthropic":
        usage = {"input_tokens": 1, "output_tokens": 1}
        return {"content": [{"type": "text", "text": text}], "stop_reason": word, "usage": usage}
    if provider == "cohere":
        return {"message": {"content": [{"type": "text", "text": text}]}, "finish_reason": word}
    blocks = [{"type": "text", "text": text}]
    return {"choices": [{"message": {"content": blocks}, "finish_reason": word}]}


@pytest.mark.parametrize("provider", SERVERS)
@pytest.mark.parametrize("text", [[[7]], [[[7]]], ["[[7]]"], {"text": "[[7]]"}, 7, True, None])
async def test_what_is_no_text_is_read_as_none(provider: str, text: object) -> None:
    assert (await ask(provider, Response(said(provider, text, None)))).text == ""


@pytest.mark.parametrize("provider", SERVERS)
async def test_a_key_in_the_place_of_a_finish_reason_is_not_told(provider: str) -> None:
    reply = await ask(provider, Response(said(provider, "[[7]]", KEY)))
    assert (reply.finish, reply.finish_detail) == ("other", "***")


@pytest.mark.parametrize("provider", SERVERS)
@pytest.mark.parametrize("body", [{"hello": 1}, [], {"content": None}, {"choices": [7]}, 17])
async def test_a_success_in_an_unknown_form_may_be_billed(provider: str, body: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await ask(provider, Response(body))
    assert caught.value.paid


@pytest.mark.parametrize("provider", SERVERS)
async def test_an_error_that_comes_as_a_success_is_not_billed(provider: str) -> None:
    with pytest.raises(ProviderError) as caught:
        await ask(provider, Response({"error": {"message": "no"}}))
    assert not caught.value.paid


def test_a_stream_of_a_million_broken_events_is_read_at_once() -> None:
    begun = time.process_time()
    with pytest.raises(NotJsonError):
        read_json("data: {\n" * 500_000)
    assert time.process_time() - begun < 2
