"""A loopback server that speaks OpenAI's chat completions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.servers import scoring
from tests.servers.http import LoopbackServer, Request, Response

Script = Callable[[Request, int], Response | None]


class OpenAIServer(LoopbackServer):
    """Rates what it is asked to rate.

    Args:
        script: Called with each chat request and its number (from 0); a response it returns is sent instead
            of the rating.
        reply: What the judge says to a user prompt.
        headers: Sent with every rating.
        gate: Awaited, in the server's thread, before a request is answered.
    """

    def __init__(
        self,
        *,
        script: Script = lambda request, number: None,
        reply: Callable[[str], str] = scoring.reply,
        headers: Mapping[str, str] | None = None,
        gate: Callable[[Request], Any] | None = None,
    ) -> None:
        super().__init__(gate=gate)
        self._script = script
        self._reply = reply
        self._headers = dict(headers or {})
        self._chats = 0

    @property
    def base_url(self) -> str:
        """What a client is told to use as `base_url`."""
        return f"{self.url}/v1"

    def handle(self, request: Request) -> Response:
        """Answer a chat completion; anything else is not found."""
        if request.method != "POST" or not request.path.split("?")[0].endswith("/chat/completions"):
            return error(404, f"unknown path {request.path}")
        number = self._chats
        self._chats += 1
        scripted = self._script(request, number)
        return scripted or completion(self._reply(user_prompt(request)), headers=self._headers)


def user_prompt(request: Request) -> str:
    """The user message that opens a conversation."""
    return str(next(m["content"] for m in request.body["messages"] if m["role"] == "user"))


def completion(
    text: str | None,
    *,
    finish: str = "stop",
    headers: Mapping[str, str] | None = None,
    usage: tuple[int, int] = (100, 20),
    refusal: str | None = None,
) -> Response:
    """A chat completion that says `text`; `usage` is in prompt and completion tokens."""
    message = {"role": "assistant", "content": text, "refusal": refusal}
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "loopback",
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
        "usage": {
            "prompt_tokens": usage[0],
            "completion_tokens": usage[1],
            "total_tokens": sum(usage),
        },
    }
    return Response(body, headers=headers or {})


def error(
    status: int,
    message: str,
    *,
    code: str | None = None,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An error in OpenAI's form."""
    body = {"error": {"message": message, "type": "error", "code": code, "param": param}}
    return Response(body, status=status, headers=headers or {})
