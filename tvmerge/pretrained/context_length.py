"""How much a model reads at once, as its configuration says."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def context_length(config: Any) -> int | None:
    """Tokens of the context that a configuration of transformers sets; None where it sets none."""
    found = getattr(config.get_text_config(), "max_position_embeddings", None)
    return None if found is None else int(found)


def model_context(folder: Path, *, trust_remote_code: bool = False) -> int | None:
    """Tokens of the context of the model in a folder; None where it sets no limit."""
    from transformers import AutoConfig

    return context_length(AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code))
