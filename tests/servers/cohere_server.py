"""A loopback server that speaks Cohere's chat, version 2."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.servers import scoring
from tests.servers.http import LoopbackServer, Request, Response

Script = Callable[[Request, int], Response | None]


class CohereServer(LoopbackServer):
    """Rates what it is asked to rate.

    Args:
        script: Called with each chat request and its number (from 0); a response it returns is sent instead
            of the rating.
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
        """Answer a chat; anything else is not found."""
        if request.method != "POST" or request.path != "/v2/chat":
            return error(404, f"unknown path {request.path}")
        number = self._chats
        self._chats += 1
        prompt = next(m["content"] for m in request.body["messages"] if m["role"] == "user")
        return self._script(request, number) or chat(scoring.reply(prompt), headers=self._headers)


def chat(
    text: str,
    *,
    finish_reason: str = "COMPLETE",
    headers: Mapping[str, str] | None = None,
    usage: tuple[float, float] = (100.0, 20.0),
) -> Response:
    """A reply that says `text`; `usage` is in input and output tokens."""
    tokens = {"input_tokens": usage[0], "output_tokens": usage[1]}
    body = {
        "id": "1",
        "finish_reason": finish_reason,
        "message": {"role": "assistant", "content": [{"type": "text", "text": text}] if text else []},
        "usage": {"billed_units": {"input_tokens": usage[0] - 50, "output_tokens": 1.0}, "tokens": tokens},
    }
    return Response(body, headers=headers or {})


def error(status: int, text: str, *, headers: Mapping[str, str] | None = None) -> Response:
    """An error in Cohere's form."""
    return Response({"id": "1", "message": text}, status=status, headers=headers or {})
