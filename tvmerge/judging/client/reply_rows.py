"""The rows of the cache that are replies and refusals of judges."""

from __future__ import annotations

from typing import Any

from tvmerge.errors import ProviderError
from tvmerge.judging.client.chat import ChatReply, ChatRequest, TextRefusedError, TooLongError, Usage
from tvmerge.judging.client.reask import UnusableError

REFUSAL = "refusal"
"""The kind of rows that record a refused text."""


def packed_reply(request: ChatRequest, reply: ChatReply) -> dict[str, object]:
    """Return the row of a complete, readable reply."""
    usage = reply.usage and {"input": reply.usage.input, "output": reply.usage.output}
    return {
        "kind": "judgment",
        "request": request.parts,
        # Stored replies are complete, whatever finish reason the provider gave.
        "reply": {"text": reply.text, "finish": "stop", "usage": usage}
        | ({"before": reply.before} if reply.before else {}),
    }


def packed_refusal(request: ChatRequest, error: ProviderError) -> dict[str, object] | None:
    """Return the row of a refusal; None if `error` does not refuse the text for good."""
    match error:
        case UnusableError(refused=True):
            refused = {"for": "content", "reply": error.reply}
        case TooLongError():
            refused = {"for": "length"}
        case TextRefusedError(proven=True):
            refused = {"for": "unknown"}
        case _:
            return None
    return {"kind": REFUSAL, "request": request.parts, "refusal": {**refused, "words": str(error)}}


def is_refusal(row: Any) -> bool:
    """Return whether a row of the cache records a refused text."""
    return refusal_in(row) is not None


def refusal_in(row: Any) -> ProviderError | None:
    """Return the refusal in a row; None if there is none."""
    match row:
        case {"kind": "refusal", "refusal": {"for": "content", "words": str(words), "reply": str(reply)}}:
            return UnusableError(words, reply=reply, refused=True)
        case {"kind": "refusal", "refusal": {"for": "length", "words": str(words)}}:
            return TooLongError(words)
        case {"kind": "refusal", "refusal": {"for": "unknown", "words": str(words)}}:
            return TextRefusedError(words)
    return None


def reply_in(row: Any) -> ChatReply | None:
    """Return the reply in a row; None if there is none."""
    match row:
        case {"reply": {"text": str(text), "finish": "stop", "usage": usage, **rest}}:
            return ChatReply(text, "stop", _usage(usage), cached=True, before=str(rest.get("before", "")))
    return None


def _usage(stored: Any) -> Usage | None:
    match stored:
        case {"input": int(read), "output": int(written)}:
            return Usage(read, written)
    return None
