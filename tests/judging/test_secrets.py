"""The API key is nowhere but in the request.

Several modules: all that sees the key.
"""

from __future__ import annotations

import json
import logging
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.judging.chats import KEY, a_spec
from tests.servers import anthropic_server, cohere_server, openai_server
from tests.servers.http import LoopbackServer, Request, Response
from tvmerge._util.cache import ContentCache
from tvmerge.errors import TransientError, TvmergeError
from tvmerge.judging.client.ledger import Ledger
from tvmerge.judging.client.request_policy import RequestPolicy
from tvmerge.judging.prompts.prompts import JudgePrompt
from tvmerge.judging.registry import create_judge
from tvmerge.judging.wire.http import ApiKey
from tvmerge.records import Answer, Question, Rating

QUESTION = Question("q", "writing", ("空の色は？",))
ECHO = f"You sent {KEY}. Rating: [[4]]"


def openai_script(request: Request, number: int) -> Response:
    return openai_server.error(500, f"crash at {KEY}") if number == 0 else openai_server.completion(ECHO)


def anthropic_script(request: Request, number: int) -> Response:
    if number == 0:
        return anthropic_server.error(500, "api_error", f"crash at {KEY}")
    return anthropic_server.message(ECHO)


def cohere_script(request: Request, number: int) -> Response:
    return cohere_server.error(500, f"crash at {KEY}") if number == 0 else cohere_server.chat(ECHO)


SERVERS: dict[str, Callable[[], LoopbackServer]] = {
    "openai": lambda: openai_server.OpenAIServer(script=openai_script),
    "anthropic": lambda: anthropic_server.AnthropicServer(script=anthropic_script),
    "cohere": lambda: cohere_server.CohereServer(script=cohere_script),
}


@pytest.mark.parametrize("provider", SERVERS)
async def test_a_key_that_the_server_sends_back_is_kept_out_of_everything(
    provider: str, prompts: dict[str, JudgePrompt], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    cache = ContentCache(tmp_path / "cache")
    with SERVERS[provider]() as server:
        spec = a_spec(server.base_url, provider=provider, model="some-model")
        ledger = Ledger(tmp_path / "ledger.jsonl")
        judge = create_judge(
            spec,
            prompts,
            [QUESTION],
            policy=RequestPolicy(cache=cache, ledger=ledger),
            env={"TEST_KEY": KEY},
        )
        (verdict,) = await judge.judge(QUESTION, Answer("q", ("青です。",)))
        assert KEY in str(server.requests[0].headers)
        await judge.close()
    cache.close()
    assert isinstance(verdict, Rating)
    assert verdict.score == 4
    assert ledger.usage()[0].failures == 1
    seen = repr(verdict) + repr(judge) + repr(spec) + json.dumps(judge.fingerprint) + caplog.text
    assert KEY not in seen
    assert not files_with_the_key(tmp_path)


def _reply(status: str, *headers: str, body: str = "") -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "Connection: close"]
    return ("\r\n".join(lines) + f"\r\n\r\n{body}").encode()


ODD = {
    "a redirect to another host": _reply("307 T", f"Location: http://other.example/?k={KEY}"),
    "another redirect": _reply("301 T", f"Location: /{KEY}"),
    "a redirect that is cut": _reply("301 T", f"Location: /{'x' * (196 - len('(HTTP 301) to /'))}{KEY}"),
    "an encoding": _reply("200 OK", f"Content-Encoding: {KEY}"),
    "a status line": f"{KEY}\r\n\r\n".encode(),
    "a header": f"HTTP/1.1 200 OK\r\n{KEY}\r\n\r\n".encode(),
    "a page": _reply("200 OK", "Content-Type: text/html", body=f"<html><title>{KEY}</title>"),
    "a page for an error": _reply("502 Bad", "Content-Type: text/html", body=f"<html><title>{KEY}</title>"),
}


@contextmanager
def sending(reply: bytes) -> Iterator[str]:
    """A server that sends these bytes to whoever asks; its address."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            self.request.sendall(reply)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("reply", ODD.values(), ids=ODD)
@pytest.mark.parametrize("provider", SERVERS)
async def test_a_key_in_any_part_of_a_response_is_in_no_error(
    provider: str, reply: bytes, prompts: dict[str, JudgePrompt]
) -> None:
    with sending(reply) as url:
        spec = a_spec(url, provider=provider, model="some-model")
        judge = create_judge(
            spec, prompts, [QUESTION], policy=RequestPolicy(patience=0), env={"TEST_KEY": KEY}
        )
        try:
            with pytest.raises(TvmergeError) as raised:
                await judge.judge(QUESTION, Answer("q", ("青です。",)))
        finally:
            await judge.close()
    error: BaseException | None = raised.value
    while error is not None:
        assert KEY not in str(error) + repr(error) + repr(vars(error))
        error = error.__cause__


def test_a_key_that_is_cut_off_is_removed_and_a_short_one_breaks_no_words() -> None:
    secret = "sk-proj-abcdefghijklmnop"
    with pytest.raises(TransientError) as raised, ApiKey(secret, "K").kept_out_of_errors():
        raise TransientError(f"not followed: {secret[:17]} and sk-proj-")
    assert str(raised.value) == "not followed: *** and sk-proj-"


def files_with_the_key(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
