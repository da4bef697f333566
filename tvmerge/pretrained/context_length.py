"""The context length of a model, as its configuration says."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def context_length(config: Any) -> int | None:
    """Return the context length of a transformers configuration, in tokens; None if it has none."""
    found = getattr(config.get_text_config(), "max_position_embeddings", None)
    return None if found is None else int(found)


def model_context(folder: Path, *, trust_remote_code: bool = False) -> int | None:
    """Return the context length of the model in a folder, in tokens; None if it has no limit."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(  # nosec B615  # a folder, so nothing is downloaded
        folder, trust_remote_code=trust_remote_code
    )
    return context_length(config)
