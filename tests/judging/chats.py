"""Chat models and judges for tests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tvmerge.judging.client.chat import ChatReply, ChatRequest
from tvmerge.judging.prompts.reply_format import RatingFormat, ReplyFormat
from tvmerge.judging.spec import JudgeSpec

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
