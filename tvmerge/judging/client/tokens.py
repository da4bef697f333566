"""Upper bounds of a request's tokens, known before it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tvmerge.judging.client.chat import ChatRequest, Usage

LENGTH_PARAMETERS = ("max_completion_tokens", "max_tokens", "max_output_tokens", "max_new_tokens")
_UNLIMITED_REPLY = 4096
_FRAME = 64


def most_tokens(request: ChatRequest) -> Usage:
    """Return an upper bound of the usage of `request`.

    A token has at least one byte, so the number of bytes of all texts bounds the input; the text that a chat
    template adds is small. The output is bounded by the request's own limit.
    """
    limit = length_limit(request.body)
    return Usage(input=_bytes(request.body) + _FRAME, output=_UNLIMITED_REPLY if limit is None else limit[1])


def length_limit(body: Mapping[str, Any]) -> tuple[str, int] | None:
    """Return the parameter of `body` that limits the reply's length and its value, or None."""
    limits = ((name, body.get(name)) for name in LENGTH_PARAMETERS)
    return next(((name, limit) for name, limit in limits if isinstance(limit, int)), None)


def _bytes(data: Any) -> int:
    if isinstance(data, str):
        return len(data.encode("utf-8", "surrogatepass"))
    if isinstance(data, Mapping):
        return sum(_bytes(value) for value in data.values())
    if isinstance(data, list | tuple):
        return sum(_bytes(value) for value in data)
    return 0
