"""What a longer search can gain, in a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def prospect_line(found: Mapping[str, Any]) -> str:
    """Return what a run's `prospects` say, without a full stop."""
    answers = f"{found['answers']:,} answers"
    if found["stopped"]:
        begin = f"stopped after {answers}: expected gain of as many again under {found['stop_when']}"
    else:
        begin = f"after {answers}, expected gain of as many again: {_points(found['gain'])} points"
    return f"{begin}; estimated regret {_points(found['regret'])} (95%: up to {_points(found['regret_95'])})"


def _points(value: float) -> str:
    return f"{value:.2g}"
