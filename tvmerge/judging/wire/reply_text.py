"""Reads the text of a message, without thinking."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tvmerge.judging.wire.finish import finish_of

_REASONING = ("reasoning_content", "reasoning")
"""Fields in which servers send a model's thoughts."""


def reply_text(message: Mapping[str, Any], ending: object) -> str:
    """Return the text of `message` in OpenAI's protocol.

    If a model marks no thoughts, some servers treat its whole reply as thoughts and leave the text empty. In
    a complete reply, the thoughts are then the text; in a truncated one, they are thoughts.

    Args:
        message: The message of a choice.
        ending: The choice's finish reason.
    """
    text = text_of(message.get("content"))
    if text.strip() or message.get("tool_calls") or finish_of(ending) != "stop":
        return text
    thoughts = (text_of(message.get(name)) for name in _REASONING)
    return next((said for said in thoughts if said.strip()), text)


def text_of(content: Any) -> str:
    """Return the text in the content of a message: a text, or a list of blocks.

    Thinking comes in blocks of its own. A list in the place of a text is none, though it may look like a
    rating.
    """
    blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
    return "".join(
        text
        for block in blocks
        if isinstance(block, dict)
        and block.get("type") == "text"
        and isinstance(text := block.get("text"), str)
    )
