"""Chat models and judges for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tvmerge.judging.client.chat import ChatReply, ChatRequest
from tvmerge.judging.client.request_policy import RequestPolicy
from tvmerge.judging.prompts.prompts import JudgePrompt
from tvmerge.judging.prompts.reply_format import RatingFormat, ReplyFormat
from tvmerge.judging.registry import create_judge
from tvmerge.judging.spec import JudgeSpec
from tvmerge.protocols import Judge
from tvmerge.records import Question

KEY = "sk-secret-4711"

Answering = Callable[[ChatRequest], Awaitable[ChatReply]]


class LocalChat:
    """A chat model in this process that answers as it is told; it counts what it is sent."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self.sent: list[ChatRequest] = []
        self.closed = False

    def request(self, system: str, user: str, reply_format: ReplyFormat, *, sample: int = 0) -> ChatRequest:
        """A request to nowhere."""
        return ChatRequest("test", "nowhere", _body(system, user), reply_format, sample)

    async def send(self, request: ChatRequest) -> ChatReply:
        """The answer told."""
        self.sent.append(request)
        return await self._answering(request)

    async def close(self) -> None:
        """Note it."""
        self.closed = True


def a_request(user: str = "rate this", *, sample: int = 0) -> ChatRequest:
    """A request for a rating."""
    return ChatRequest("test", "nowhere", _body("", user), RatingFormat(), sample)


def _body(system: str, user: str) -> dict[str, Any]:
    return {"system": system, "messages": [{"role": "user", "content": user}]}


def a_spec(base_url: str, **settings: Any) -> JudgeSpec:
    """A judge on a loopback server."""
    values: Mapping[str, Any] = {"provider": "openai", "model": "gpt-4o", "api_key_env": "TEST_KEY"}
    return JudgeSpec(name="loopback", base_url=base_url, **{**values, **settings})


@asynccontextmanager
async def judging(
    base_url: str,
    prompts: Mapping[str, JudgePrompt],
    questions: Sequence[Question],
    *,
    samples: int | None = None,
    together: bool = False,
    spec: Mapping[str, Any] | None = None,
    **policy: Any,
) -> AsyncIterator[Judge]:
    """A judge at a server, closed at the end.

    Args:
        base_url: The server.
        prompts: Its prompts.
        questions: What it will be asked about.
        samples: Ratings of each turn.
        together: Whether it rates all turns in one request.
        spec: Keys of its judge file.
        policy: Arguments of `RequestPolicy`.
    """
    judge = create_judge(
        a_spec(base_url, **(spec or {})),
        prompts,
        questions,
        samples=samples,
        together=together,
        policy=RequestPolicy(**policy),
        env={"TEST_KEY": KEY},
    )
    try:
        yield judge
    finally:
        await judge.close()
