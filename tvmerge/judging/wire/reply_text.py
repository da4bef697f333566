"""Reads the text of a message in OpenAI's protocol, without thinking."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tvmerge.judging.wire.finish import finish_of

_REASONING = ("reasoning_content", "reasoning")
"""Fields in which servers send a model's thoughts."""


def reply_text(message: Mapping[str, Any], ending: object) -> str:
    """Return the text of `message`.

    If a model marks no thoughts, some servers treat its whole reply as thoughts and leave the text empty. In
    a complete reply, the thoughts are then the text; in a truncated one, they are thoughts.

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
    # Some servers send a list of blocks, as for Mistral's reasoning models; thinking is left out.
    blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
    return "".join(
        text
        for block in blocks
        if isinstance(block, dict)
        and block.get("type") == "text"
        and isinstance(text := block.get("text"), str)
    )
