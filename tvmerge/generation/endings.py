"""Where an answer ends."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tvmerge.generation.chat import ChatFormat


def end_tokens(folder: Path, chat: ChatFormat) -> list[int]:
    """The tokens that end an answer: those of the model's generation config, or the tokenizer's one."""
    from transformers import GenerationConfig

    settings: Any = GenerationConfig
    try:
        found = settings.from_pretrained(folder).eos_token_id
    except OSError:
        found = None
    if found is None:
        found = chat.tokenizer.eos_token_id
    return [] if found is None else [found] if isinstance(found, int) else list(found)


def until_end(tokens: Sequence[int], ends: Sequence[int]) -> tuple[list[int], bool]:
    """The tokens before the first of `ends`, and whether there is one."""
    for position, token in enumerate(tokens):
        if token in ends:
            return list(tokens[:position]), True
    return list(tokens), False
