"""How much an engine reads of a text whose likelihood is asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tvmerge.pretrained.context_length import model_context


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
