"""What a judge's server may send: how much, in which form, and from where."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.judging.chats import KEY, a_spec
from tests.servers.anthropic_server import AnthropicServer, message
from tests.servers.cohere_server import CohereServer, chat
from tests.servers.http import Request, Response
from tests.servers.openai_server import OpenAIServer, completion
from tvmerge.errors import TransientError
from tvmerge.judging.client.chat import ChatReply, InvalidRequestError, NotReadError
from tvmerge.judging.prompts.reply_format import RatingFormat
from tvmerge.judging.registry import create_chat

SERVERS: dict[str, tuple[Callable[..., Any], Response]] = {
    "openai": (OpenAIServer, completion("[[8]]")),
    "anthropic": (AnthropicServer, message("[[8]]")),
    "cohere": (CohereServer, chat("[[8]]")),
}
MEGABYTES = b" " * 8 * 2**20
BOMB = gzip.compress(MEGABYTES)


async def ask(provider: str, first: Response, *later: Response) -> ChatReply:
    """The reply of a server that answers thus, the last of it for good."""
    responses = (first, *later)

    def script(request: Request, number: int) -> Response:
        return responses[min(number, len(responses) - 1)]

    with SERVERS[provider][0](script=script) as server:
        model = create_chat(a_spec(server.base_url, provider=provider, model="m"), {"TEST_KEY": KEY})
        try:
            return await model.send(model.request("", "x", RatingFormat()))
        finally:
            await model.close()


def good(provider: str) -> bytes:
    """The body of a good reply."""
    return json.dumps(SERVERS[provider][1].body).encode()


@pytest.mark.parametrize("provider", SERVERS)
async def test_a_reply_that_expands_to_more_than_a_reply_is_not_read(provider: str) -> None:
    with pytest.raises(NotReadError, match="it is larger than 4 MiB"):
        await ask(provider, Response(BOMB, headers={"content-encoding": "gzip"}))


async def test_the_end_of_a_long_error_is_left_out() -> None:
    with pytest.raises(TransientError, match="HTTP 500: nnn"):
        await ask("openai", Response(b"n" * 5 * 2**20, status=500))


@pytest.mark.parametrize(
    ("pack", "encoding"),
    [
        (gzip.compress, "gzip"),
        (zlib.compress, "deflate"),
        (lambda body: zlib.compress(body)[2:-4], "deflate"),
        (bytes, "identity"),
    ],
    ids=["gzip", "deflate", "raw deflate", "identity"],
)
async def test_a_reply_may_be_compressed(pack: Callable[[bytes], bytes], encoding: str) -> None:
    reply = await ask("openai", Response(pack(good("openai")), headers={"content-encoding": encoding}))
    assert reply.text == "[[8]]"


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip"])
async def test_a_compression_that_was_not_asked_for_is_refused(encoding: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"compressed as '{encoding}'"):
        await ask("openai", Response(b"\x0b\x00", headers={"content-encoding": encoding}))


@pytest.mark.parametrize("status", [200, 400])
async def test_an_encoding_that_is_none_of_text_is_not_decoded(status: int) -> None:
    response = Response(zlib.compress(MEGABYTES), status=status, content_type="text/plain; charset=zlib")
    with pytest.raises((TransientError, InvalidRequestError)) as caught:
        await ask("openai", response)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("provider", "status"), [("openai", 302), ("openai", 307), ("anthropic", 308), ("cohere", 307)]
)
async def test_no_redirect_takes_the_key_to_another_host(provider: str, status: int) -> None:
    with OpenAIServer() as other:
        location = f"http://localhost:{other.port}/v1/chat/completions"
        with pytest.raises(InvalidRequestError, match=f"redirect .*localhost:{other.port}") as caught:
            await ask(provider, Response({}, status=status, headers={"location": location}))
        assert caught.value.certain
        assert not other.requests


@pytest.mark.parametrize(
    "where", ["javascript:alert(1)", "http://[::1", "http://127.0.0.1:99999/", "//evil/"]
)
@pytest.mark.parametrize("provider", SERVERS)
async def test_a_redirect_to_what_is_no_address_of_the_server_is_refused(provider: str, where: str) -> None:
    with pytest.raises(InvalidRequestError, match="redirect to another host"):
        await ask(provider, Response({}, status=307, headers={"location": where}))


@pytest.mark.parametrize("provider", SERVERS)
async def test_no_cookie_is_kept(provider: str) -> None:
    def script(request: Request, number: int) -> Response:
        cookies = {"set-cookie": f"c{number}={'v' * 4000}; path=/"}
        return replace(SERVERS[provider][1], headers=cookies)

    with SERVERS[provider][0](script=script) as server:
        model = create_chat(a_spec(server.base_url, provider=provider, model="m"), {"TEST_KEY": KEY})
        for _ in range(2):
            await model.send(model.request("", "x", RatingFormat()))
        await model.close()
    assert not any("cookie" in request.headers for request in server.requests)


@pytest.mark.parametrize("provider", SERVERS)
@pytest.mark.parametrize("encoding", ["gzip", "br"])
@pytest.mark.parametrize("status", [200, 500])
async def test_a_reply_that_cannot_be_decompressed_may_be_billed(
    provider: str, encoding: str, status: int
) -> None:
    body = SERVERS[provider][1].body
    with pytest.raises((TransientError, InvalidRequestError)) as caught:
        await ask(provider, Response(body, status=status, headers={"content-encoding": encoding}))
    assert caught.value.paid == (status == 200)


async def test_a_redirect_on_the_same_is_followed() -> None:
    moved = Response({}, status=307, headers={"location": "/v1/chat/completions"})
    assert (await ask("openai", moved, completion("[[8]]"))).text == "[[8]]"
    with pytest.raises(InvalidRequestError, match="redirects without end"):
        await ask("openai", moved)


@pytest.mark.parametrize("provider", SERVERS)
async def test_a_usage_that_cannot_be_true_is_none(provider: str) -> None:
    body = re.sub(rb'tokens": (\d)', rb'tokens": -\1', good(provider))
    assert (await ask(provider, Response(body))).usage is None


async def test_nothing_that_a_terminal_obeys_is_left_in_an_error() -> None:
    for body in ({"error": {"message": "\x1b[31mno\u202e\x9b2J"}}, {"\u202ehello": "\x1b]0;x\x07\x85"}):
        for status in (200, 400):
            with pytest.raises(InvalidRequestError) as caught:
                await ask("openai", Response(body, status=status))
            assert all(letter.isprintable() for letter in str(caught.value))
