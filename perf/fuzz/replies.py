"""Replies of judges: what their servers send, and ratings in what they say."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

from perf.fuzz.draws import Draws
from tvmerge.errors import ProviderError, UserError
from tvmerge.judging.batch import anthropic as anthropic_batch
from tvmerge.judging.batch import openai as openai_batch
from tvmerge.judging.batch.results import results_of
from tvmerge.judging.client.chat import ChatReply, ChatRequest
from tvmerge.judging.prompts.parsing import Unreadable
from tvmerge.judging.prompts.reply_format import RatingFormat, ReplyFormat, TurnRatingsFormat, VerdictFormat
from tvmerge.judging.providers import anthropic, cohere, openai
from tvmerge.judging.spec import spec_for_model
from tvmerge.judging.wire.error_details import error_within
from tvmerge.judging.wire.http import ApiKey
from tvmerge.judging.wire.parameters import ModelParameters
from tvmerge.judging.wire.reader import ResponseReader

KEY = "sk-0123456789"
STATUSES = (200, 400, 401, 402, 404, 413, 429, 500, 529)
HEADERS = (
    *("retry-after", "retry-after-ms", "date", "x-ratelimit-reset"),
    *("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    *("anthropic-ratelimit-tokens-limit", "anthropic-ratelimit-tokens-remaining"),
    "anthropic-ratelimit-tokens-reset",
)
PATTERN = r"SCORE=(\d+)"
SCALES = ((1.0, 10.0), (0.0, 1.0))
FORMATS: tuple[ReplyFormat, ...] = (
    *(RatingFormat(*scale, structured=structured) for scale, structured in product(SCALES, (False, True))),
    *(RatingFormat(key="評価"), RatingFormat(pattern=PATTERN)),
    *(TurnRatingsFormat(turns, structured=told) for turns, told in product((1, 2, 3), (False, True))),
    *(TurnRatingsFormat(2, key="scores"), TurnRatingsFormat(2, pattern=PATTERN)),
    *(VerdictFormat(), VerdictFormat(structured=True)),
)
PROTOCOLS: dict[str, Any] = {"openai": openai, "anthropic": anthropic, "cohere": cohere}

SEEDS = (
    b'\x02\x00{"custom_id": "a", "response": {"status_code": 200, "body": {"choices": []}}}\n'
    b'{"custom_id": "b", "error": {"code": "batch_expired"}}',
    b'\x02\x01{"custom_id": "a", "result": {"type": "succeeded", "message": {"content": []}}}\n'
    b'{"custom_id": "b", "result": {"type": "errored", "error": {"type": "invalid_request"}}}',
    b"\x01\x00" + "<think>[[3]]</think>良い回答です。\n**評価**：[[7]]".encode(),
    b"\x01\x01" + b'{"explanation": "good", "rating": 7}',
    b"\x01\x08" + "Turn 1: [[7]]\nターン2：［［5］］".encode(),
    b"\x01\x0e" + b"[[A]] at first, but [[C]] for a tie",
    b'\x00\x00\x00\x00\n{"choices": [{"message": {"content": "[[7]]", "reasoning": "hm"}, '
    b'"finish_reason": "stop"}], "usage": {"prompt_tokens": 9, "completion_tokens": 3}}',
    b"\x00\x00\x06\x00" + b'6m0s\n{"error": {"message": "try again in 6s", "code": "rate_limit_exceeded"}}',
    b'\x00\x01\x00\x02Fri, 27 Nov 2026 10:00:00 GMT\n{"content": [{"type": "text", "text": "[[7]]"}], '
    b'"stop_reason": "end_turn", "usage": {"input_tokens": 9, "output_tokens": 3}}',
    b'\x00\x02\x00\x04\n{"message": {"content": [{"type": "text", "text": "[[7]]"}]}, "finish_reason": '
    b'"COMPLETE", "usage": {"tokens": {"input_tokens": 9.0, "output_tokens": 3.0}}}',
    b'\x00\x00\x00\x00\nevent: x\ndata: {"choices": []}\n\ndata: [DONE]',
    b"\x00\x00\x07\x00\n<!DOCTYPE html><html><head><title>502</title></head></html>",
    b'\x00\x01\x02\x00\n[{"error": {"status": "UNAUTHENTICATED", "details": [{"retryDelay": "34s"}]}}]',
)
"""One input of each kind."""


def check(data: bytes) -> None:
    """Check an input; raise if it breaks what reads it."""
    draws = Draws(data)
    draws.choice((_check_response, _check_text, _check_batch))(draws)


def _check_response(draws: Draws) -> None:
    name = draws.choice(tuple(PROTOCOLS))
    status, header = draws.choice(STATUSES), draws.choice(HEADERS)
    value, _, body = draws.rest_as_text().partition("\n")
    reply, said = None, ""
    try:
        reply = reader(name).read(status, body, {header: value}, request(name))
    except (ProviderError, UserError) as error:
        said = str(error)
    assert KEY not in said, "a message has the key"
    if reply is not None:
        _check_reply(reply)


def _check_reply(reply: ChatReply) -> None:
    assert KEY not in reply.text, "a reply has the key"
    if reply.usage is not None:
        assert 0 <= reply.usage.input < 10**12, "an impossible number of tokens"
        assert 0 <= reply.usage.output < 10**12, "an impossible number of tokens"
    pause = reply.limits.pause()
    assert pause is None or 0 <= pause.seconds < float("inf")


def _check_batch(draws: Draws) -> None:
    read = draws.choice((openai_batch._result, lambda row: anthropic_batch._result(row.get("result"))))
    for result in results_of([draws.rest()], read).values():
        assert set(result) in ({"lost"}, {"status", "body"})


def _check_text(draws: Draws) -> None:
    reply_format = draws.choice(FORMATS)
    text = draws.rest_as_text()
    for alone in (False, True):
        found = reply_format.read(text, alone=alone)
        if isinstance(found, Unreadable):
            assert found.reason
        else:
            _check_ratings(found if isinstance(found, tuple) else (found,), reply_format)


def _check_ratings(found: tuple[float, ...], reply_format: ReplyFormat) -> None:
    match reply_format:
        case VerdictFormat():
            assert found in {(0.0,), (0.5,), (1.0,)}
        case RatingFormat(low, high):
            assert len(found) == 1
            assert low <= found[0] <= high
        case TurnRatingsFormat(turns, low, high):
            assert len(found) == turns
            assert all(low <= rating <= high for rating in found)


def reader(name: str) -> ResponseReader:
    """Return what reads the responses in a protocol."""
    module = PROTOCOLS[name]
    complaint: Callable[[Any], Any] = getattr(module, "_complaint", error_within)
    parameters = ModelParameters(spec_for_model(name, "model"))
    return ResponseReader(parameters, ApiKey(KEY, "THE_KEY"), module._reply, complaint)


def request(name: str) -> ChatRequest:
    """Return a request to which responses are read."""
    body = {"model": "model", "messages": [{"role": "user", "content": "Rate."}], "temperature": 0.0}
    return ChatRequest(name, "https://example.com", body, FORMATS[0])
