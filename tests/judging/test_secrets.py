"""The API key is nowhere but in the request.

Several modules: all that sees the key.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.judging.chats import KEY, a_spec
from tests.servers import anthropic_server, cohere_server, openai_server
from tests.servers.http import LoopbackServer, Request, Response
from tvmerge._util.cache import ContentCache
from tvmerge.judging.client.ledger import Ledger
from tvmerge.judging.client.request_policy import RequestPolicy
from tvmerge.judging.prompts.prompts import JudgePrompt
from tvmerge.judging.registry import create_judge
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


def files_with_the_key(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
