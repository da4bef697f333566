"""The OpenAI provider against a real server, through the real SDK."""

from __future__ import annotations

import json
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from tests.judging.chats import KEY, a_spec
from tests.servers.http import Request, Response
from tests.servers.openai_server import OpenAIServer, completion, error
from tvmerge.errors import CredentialsError, QuotaError, RequestError, TransientError, TvmergeError
from tvmerge.judging.client.chat import ChatReply, Usage
from tvmerge.judging.client.rate_headers import RateLimits
from tvmerge.judging.prompts.reply_format import RatingFormat
from tvmerge.judging.providers.openai import OpenAIChat
from tvmerge.judging.spec import JudgeSpec

FORM = RatingFormat()
Opened = Callable[[JudgeSpec], AbstractAsyncContextManager[OpenAIChat]]


@asynccontextmanager
async def opened(spec: JudgeSpec) -> AsyncIterator[OpenAIChat]:
    chat = OpenAIChat(spec, KEY)
    try:
        yield chat
    finally:
        await chat.close()


async def ask(server: OpenAIServer, **settings: object) -> ChatReply:
    async with opened(a_spec(server.base_url, **settings)) as chat:
        return await chat.send(chat.request("Be fair.", "この答えを評価して", FORM))


async def test_what_is_keyed_is_what_is_sent(server: OpenAIServer) -> None:
    async with opened(a_spec(server.base_url, parameters={"seed": 7, "temperature": 0.5})) as chat:
        request = chat.request("Be fair.", "この答えを評価して", FORM)
        reply = await chat.send(request)
    assert server.requests[0].body == request.body
    assert request.body == {
        "model": "gpt-4o",
        "messages": [
            {"role": "system", "content": "Be fair."},
            {"role": "user", "content": "この答えを評価して"},
        ],
        "max_tokens": 2048,
        "temperature": 0.5,
        "seed": 7,
    }
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert reply.finish == "stop"
    assert reply.usage == Usage(100, 20)
    assert not request.fault_of(reply)


async def test_an_empty_system_prompt_is_left_out(server: OpenAIServer) -> None:
    async with opened(a_spec(server.base_url)) as chat:
        assert [m["role"] for m in chat.request("", "x", FORM).body["messages"]] == ["user"]


async def test_a_parameter_can_be_left_out(server: OpenAIServer) -> None:
    async with opened(a_spec(server.base_url, omit_parameters=("temperature",))) as chat:
        assert set(chat.request("", "x", FORM).body) == {"model", "messages", "max_tokens"}


async def test_a_structured_form_sends_its_schema(server: OpenAIServer) -> None:
    form = RatingFormat(structured=True)
    async with opened(a_spec(server.base_url)) as chat:
        sent = chat.request("", "x", form).body["response_format"]
    assert sent["json_schema"]["schema"] == form.schema
    async with opened(a_spec(server.base_url, structured_output=False)) as chat:
        assert "response_format" not in chat.request("", "x", form).body


def text(words: str) -> dict[str, str]:
    """A block of text."""
    return {"type": "text", "text": words}


def blocks(*content: object) -> Response:
    """A completion whose content is a list of blocks."""
    return Response({"choices": [{"message": {"content": list(content)}, "finish_reason": "stop"}]})


async def test_rate_limits_are_read_from_the_response() -> None:
    headers = {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "59"}
    with OpenAIServer(headers=headers) as server:
        reply = await ask(server)
    assert reply.limits == RateLimits(requests=60, requests_left=59)


@pytest.mark.parametrize(
    ("response", "finish", "text"),
    [
        (completion("half a", finish="length"), "length", "half a"),
        (completion("", finish="content_filter"), "refused", ""),
        (completion(None, refusal="I will not"), "refused", ""),
        (completion(None), "stop", ""),
        (Response({"choices": []}), "stop", ""),
        (Response({"object": "chat.completion", "usage": {"prompt_tokens": 9}}), "stop", ""),
        (Response({"choices": [{"finish_reason": "content_filter", "index": 0}]}), "refused", ""),
        (Response({"choices": [{"text": "[[7]]", "finish_reason": "stop"}]}), "stop", "[[7]]"),
        (Response({"choices": [{"error": {"code": 502, "message": "down"}, "message": {}}]}), "failed", ""),
        (Response(json.dumps(completion("[[7]]").body) + "\n\ndata: [DONE]\n\n"), "stop", "[[7]]"),
        (completion("x", finish="tool_calls"), "other", "x"),
        (blocks({"type": "thinking", "thinking": []}, text("[["), text("7]]")), "stop", "[[7]]"),
        (blocks("nonsense", {"type": "text"}), "stop", ""),
    ],
)
async def test_why_a_reply_ended_is_told(response: Response, finish: str, text: str) -> None:
    with OpenAIServer(script=lambda request, number: response) as server:
        reply = await ask(server)
    assert (reply.finish, reply.text) == (finish, text)


@pytest.mark.parametrize("refusal", [{"a": [1]}, True, 5, ["no"], " ", ""])
async def test_a_refusal_that_is_no_text_is_none(refusal: object) -> None:
    response = completion("[[7]]")
    response.body["choices"][0]["message"]["refusal"] = refusal
    with OpenAIServer(script=lambda request, number: response) as server:
        reply = await ask(server)
    assert (reply.finish, reply.text) == ("stop", "[[7]]")


def thought(content: str | None, *, finish: str = "stop", **fields: str) -> Response:
    """A completion with fields for the model's thoughts."""
    return Response({"choices": [{"message": {"content": content, **fields}, "finish_reason": finish}]})


@pytest.mark.parametrize(
    ("response", "text"),
    [
        (thought(None, reasoning_content="Rating: [[8]]"), "Rating: [[8]]"),
        (thought("", reasoning="Rating: [[8]]"), "Rating: [[8]]"),
        (thought(" \n", reasoning_content="", reasoning="Rating: [[8]]"), "Rating: [[8]]"),
        (thought("[[3]]", reasoning_content="maybe [[8]]"), "[[3]]"),
        (thought(None, finish="length", reasoning_content="maybe [[8]]"), ""),
        (thought(None, finish="content_filter", reasoning_content="maybe [[8]]"), ""),
    ],
)
async def test_thoughts_are_the_reply_only_where_there_is_no_other_and_it_is_whole(
    response: Response, text: str
) -> None:
    with OpenAIServer(script=lambda request, number: response) as server:
        assert (await ask(server)).text == text


@pytest.mark.parametrize(
    ("billed", "usage"),
    [
        (
            {  # xAI
                "prompt_tokens": 32,
                "completion_tokens": 9,
                "total_tokens": 135,
                "prompt_tokens_details": {"text_tokens": 32, "cached_tokens": 6},
                "completion_tokens_details": {"reasoning_tokens": 94, "audio_tokens": 0},
            },
            Usage(32, 103),
        ),
        ({"completion_tokens": 424, "prompt_tokens": 20, "total_tokens": 1016}, Usage(20, 996)),  # Gemini
        ({"prompt_tokens": 20, "total_tokens": 2068}, Usage(20, 2048)),  # Gemini, all of it thoughts
        (
            {  # OpenAI, which counts thoughts in the completion
                "prompt_tokens": 20,
                "completion_tokens": 500,
                "total_tokens": 520,
                "completion_tokens_details": {"reasoning_tokens": 448},
            },
            Usage(20, 500),
        ),
        ({"prompt_tokens": 20, "total_tokens": 20}, None),
        ({"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": -1}, None),
    ],
)
async def test_thoughts_are_billed_wherever_they_are_counted(
    billed: dict[str, object], usage: Usage | None
) -> None:
    response = Response({**completion("[[1]]").body, "usage": billed})
    with OpenAIServer(script=lambda request, number: response) as server:
        assert (await ask(server)).usage == usage


async def test_usage_may_be_missing() -> None:
    good = completion("[[1]]")
    silent = Response({name: value for name, value in good.body.items() if name != "usage"})
    with OpenAIServer(script=lambda request, number: silent) as server:
        assert (await ask(server)).usage is None


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (error(429, "slow down", headers={"retry-after": "2"}), TransientError),
        (error(429, "no money", code="insufficient_quota"), QuotaError),
        (error(500, "crashed"), TransientError),
        (error(529, "overloaded"), TransientError),
        (error(401, f"Incorrect API key provided: {KEY}"), CredentialsError),
        (error(404, "no such model", code="model_not_found"), RequestError),
        (error(400, "bad value", param="top_p"), RequestError),
        (Response('{"choices": [{"mess'), TransientError),
        (Response("<html>welcome to the hotel</html>", content_type="text/html"), TransientError),
        (Response("null"), RequestError),
        (Response(completion("[[1]]").body, breakage="reset"), TransientError),
        (Response(completion("[[1]]").body, breakage="truncate"), TransientError),
    ],
)
async def test_failures_are_told_in_our_own_terms_without_the_key(
    response: Response, expected: type[TvmergeError]
) -> None:
    with OpenAIServer(script=lambda request, number: response) as server:
        with pytest.raises(expected) as caught:
            await ask(server)
        assert len(server.requests) == 1
    assert KEY not in "".join(traceback.format_exception(caught.value))


async def test_a_server_that_never_answers_is_transient() -> None:
    stalled = Response({}, breakage="stall")
    with (
        OpenAIServer(script=lambda request, number: stalled) as server,
        pytest.raises(TransientError, match="APITimeoutError"),
    ):
        await ask(server, timeout=0.05)


def refusing(*names: str) -> Callable[[Request, int], Response | None]:
    """A server whose model refuses these parameters."""

    def script(request: Request, number: int) -> Response | None:
        for name in names:
            if name in request.body:
                return error(
                    400, f"Unsupported parameter: '{name}'", param=name, code="unsupported_parameter"
                )
        return None

    return script


async def test_a_refused_parameter_is_learnt() -> None:
    with OpenAIServer(script=refusing("max_tokens", "temperature")) as server:
        async with opened(a_spec(server.base_url, model="unknown-thinker")) as chat:
            for refused in ("max_tokens", "temperature"):
                with pytest.raises(RequestError) as caught:
                    await chat.send(chat.request("", "x", FORM))
                assert caught.value.param == refused
            request = chat.request("", "x", FORM)
            assert (await chat.send(request)).finish == "stop"
    assert set(request.body) == {"model", "messages", "max_completion_tokens"}


async def test_azure_is_asked_by_deployment_and_version(server: OpenAIServer) -> None:
    async with opened(a_spec(server.url, api_version="2024-10-21", model="my-deployment")) as chat:
        await chat.send(chat.request("", "x", FORM))
    sent = server.requests[0]
    assert sent.path == "/openai/deployments/my-deployment/chat/completions?api-version=2024-10-21"
    assert sent.headers["api-key"] == KEY


async def test_each_azure_version_has_replies_of_its_own(server: OpenAIServer) -> None:
    keys = set()
    for version in ("2024-10-21", "2025-04-01"):
        async with opened(a_spec(server.url, api_version=version)) as chat:
            keys.add(chat.request("", "x", FORM).key)
    assert len(keys) == 2


async def test_no_representation_shows_the_key(server: OpenAIServer) -> None:
    async with opened(a_spec(server.base_url)) as chat:
        assert KEY not in repr(chat) + repr(chat.request("", "x", FORM))
