"""How much an engine reads of a text whose likelihood is asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tvmerge.engines.kinds import ENGINES
from tvmerge.pretrained.context_length import model_context


def rated_context(
    kind: str, options: Mapping[str, Any], folder: Path, *, trust_remote_code: bool = False
) -> int | None:
    """Tokens that an engine reads of a text whose likelihood is asked; the text's last is not read.

    Args:
        kind: One of `ENGINES`.
        options: What the user set of it.
        folder: The model's folder.
        trust_remote_code: Whether the model may bring code of its own.
    """
    context = model_context(folder, trust_remote_code=trust_remote_code)
    return ENGINES.load(kind).context(context, options)
