"""What a message of OpenAI's protocol says, thinking left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tvmerge.judging.wire.finish import finish_of

_REASONING = ("reasoning_content", "reasoning")
"""Fields in which servers tell a model's thoughts."""


def said_by(message: Mapping[str, Any], ending: object) -> str:
    """The text of `message`.

    A server that takes all of a complete reply for thoughts, since the model marks none, leaves the text
    empty and puts the reply where thoughts are told. Then that is the text. Where the reply was cut off,
    they are thoughts.

    Args:
        message: The message of a choice.
        ending: The choice's finish reason.
    """
    text = _text(message.get("content"))
    if text.strip() or message.get("tool_calls") or finish_of(ending) != "stop":
        return text
    thoughts = (_text(message.get(name)) for name in _REASONING)
    return next((said for said in thoughts if said.strip()), text)


def _text(content: Any) -> str:
    # Some servers send a list of blocks, as Mistral's reasoning models do; thinking is not the reply.
    blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
    return "".join(
        text
        for block in blocks
        if isinstance(block, dict)
        and block.get("type") == "text"
        and isinstance(text := block.get("text"), str)
    )
