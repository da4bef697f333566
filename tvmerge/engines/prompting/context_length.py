"""How much a model reads at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def model_context(folder: Path, *, trust_remote_code: bool = False) -> int | None:
    """Tokens of a model's context; None where it sets no limit."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code).get_text_config()
    found = getattr(config, "max_position_embeddings", None)
    return None if found is None else int(found)


def rated_context(
    kind: str, options: Mapping[str, Any], folder: Path, *, trust_remote_code: bool = False
) -> int | None:
    """Tokens that an engine reads of a text whose likelihood is asked; the text's last is not read.

    vLLM reads the last token too, and always generates one more.

    Args:
        kind: `transformers` or `vllm`.
        options: Further arguments of vLLM; they concern no other engine.
        folder: The model's folder.
        trust_remote_code: Whether the model may bring code of its own.
    """
    context = model_context(folder, trust_remote_code=trust_remote_code)
    if kind != "vllm":
        return context
    whole = options.get("max_model_len") or context
    return None if whole is None else int(whole) - 2
