"""The Cohere provider against a real server, through the real SDK."""

from __future__ import annotations

import traceback

import pytest

from tests.judging.chats import KEY, a_spec
from tests.servers.cohere_server import CohereServer, chat, error
from tests.servers.http import Response
from tvmerge.errors import CredentialsError, QuotaError, RequestError, TransientError, TvmergeError
from tvmerge.judging.client.chat import ChatReply, Usage
from tvmerge.judging.prompts.reply_format import RatingFormat
from tvmerge.judging.providers.cohere import CohereChat
from tvmerge.judging.spec import JudgeSpec

FORM = RatingFormat()


def spec_of(server: CohereServer, **settings: object) -> JudgeSpec:
    return a_spec(server.base_url, provider="cohere", model="command-r-plus-08-2024", **settings)


async def ask(server: CohereServer, **settings: object) -> ChatReply:
    model = CohereChat(spec_of(server, **settings), KEY)
    try:
        return await model.send(model.request("Be fair.", "この答えを評価して", FORM))
    finally:
        await model.close()


async def test_what_is_keyed_is_what_is_sent() -> None:
    with CohereServer() as server:
        model = CohereChat(spec_of(server, parameters={"safety_mode": "OFF"}), KEY)
        request = model.request("Be fair.", "この答えを評価して", FORM)
        reply = await model.send(request)
        await model.close()
        assert server.requests[0].body == request.body
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert request.body == {
        "model": "command-r-plus-08-2024",
        "messages": [
            {"role": "system", "content": "Be fair."},
            {"role": "user", "content": "この答えを評価して"},
        ],
        "stream": False,
        "max_tokens": 2048,
        "temperature": 0,
        "safety_mode": "OFF",
    }
    assert reply.usage == Usage(100, 20)
    assert not request.fault_of(reply)


async def test_a_structured_form_sends_its_schema() -> None:
    with CohereServer() as server:
        model = CohereChat(spec_of(server), KEY)
        body = model.request("", "x", RatingFormat(structured=True)).body
        await model.close()
    assert body["response_format"] == {"type": "json_object", "json_schema": FORM.schema}


@pytest.mark.parametrize(
    ("response", "finish"),
    [
        (chat("half", finish_reason="MAX_TOKENS"), "length"),
        (chat("x", finish_reason="ERROR"), "failed"),
        (chat("x", finish_reason="TIMEOUT"), "failed"),
        (chat("x", finish_reason="TOOL_CALL"), "other"),
        (chat(""), "stop"),
    ],
)
async def test_why_a_reply_ended_is_told(response: Response, finish: str) -> None:
    with CohereServer(script=lambda request, number: response) as server:
        assert (await ask(server)).finish == finish


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (error(429, "limited to 20 API calls / minute", headers={"retry-after": "2"}), TransientError),
        (error(429, "a Trial key, which is limited to 1000 API calls / month"), QuotaError),
        (error(500, "crashed"), TransientError),
        (error(503, "unavailable"), TransientError),
        (error(529, "overloaded"), TransientError),
        (error(401, f"invalid api token {KEY}"), CredentialsError),
        (error(404, "model not found"), RequestError),
        (error(400, "invalid request"), RequestError),
        (Response('{"message": {"con'), TransientError),
        (Response("<html></html>", status=502, content_type="text/html"), TransientError),
        (Response("null"), RequestError),
        (Response(chat("[[1]]").body, breakage="reset"), TransientError),
        (Response(chat("[[1]]").body, breakage="truncate"), TransientError),
    ],
)
async def test_failures_are_told_in_our_own_terms_without_the_key(
    response: Response, expected: type[TvmergeError]
) -> None:
    with CohereServer(script=lambda request, number: response) as server:
        with pytest.raises(expected) as caught:
            await ask(server)
        assert len(server.requests) == 1
    assert KEY not in "".join(traceback.format_exception(caught.value))


async def test_a_server_that_never_answers_is_transient() -> None:
    stalled = Response({}, breakage="stall")
    with (
        CohereServer(script=lambda request, number: stalled) as server,
        pytest.raises(TransientError, match="ReadTimeout"),
    ):
        await ask(server, timeout=0.05)
