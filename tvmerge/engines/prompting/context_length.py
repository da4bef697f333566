"""The number of tokens that an engine can read to rate a likelihood."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tvmerge.engines.kinds import ENGINES
from tvmerge.pretrained.context_length import model_context


def rated_context(
    kind: str, options: Mapping[str, Any], folder: Path, *, trust_remote_code: bool = False
) -> int | None:
    """Return how many tokens an engine can read to rate a likelihood, not counting the text's last token.

    Args:
        kind: One of `ENGINES`.
        options: The engine's options that the user set.
        folder: The model's folder.
        trust_remote_code: Whether the model may run code from its files.
    """
    context = model_context(folder, trust_remote_code=trust_remote_code)
    return ENGINES.load(kind).context(context, options)
