"""A loopback server that speaks Anthropic's messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.servers import scoring
from tests.servers.http import LoopbackServer, Request, Response

Script = Callable[[Request, int], Response | None]


class AnthropicServer(LoopbackServer):
    """Rates what it is asked to rate, after some thinking.

    Args:
        script: Called with each message request and its number (from 0); a response it returns is sent
            instead of the rating.
        headers: Sent with every rating.
    """

    def __init__(
        self,
        *,
        script: Script = lambda request, number: None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self._script = script
        self._headers = dict(headers or {})
        self._chats = 0

    def handle(self, request: Request) -> Response:
        """Answer a message; anything else is not found."""
        if request.method != "POST" or request.path != "/v1/messages":
            return error(404, "not_found_error", f"unknown path {request.path}")
        number = self._chats
        self._chats += 1
        prompt = next(m["content"] for m in request.body["messages"] if m["role"] == "user")
        return self._script(request, number) or message(scoring.reply(prompt), headers=self._headers)


def message(
    text: str,
    *,
    stop_reason: str = "end_turn",
    headers: Mapping[str, str] | None = None,
    usage: tuple[int, int] = (100, 20),
) -> Response:
    """A message that says `text`; `usage` is in input and output tokens."""
    thinking = {"type": "thinking", "thinking": "Could it be [[1]]?", "signature": "s"}
    body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "loopback",
        "content": [thinking, {"type": "text", "text": text}] if text else [],
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {"input_tokens": usage[0] - 30, "cache_read_input_tokens": 30, "output_tokens": usage[1]},
    }
    return Response(body, headers=headers or {})


def error(status: int, kind: str, text: str, *, headers: Mapping[str, str] | None = None) -> Response:
    """An error in Anthropic's form."""
    body = {"type": "error", "error": {"type": kind, "message": text}}
    return Response(body, status=status, headers=headers or {})
