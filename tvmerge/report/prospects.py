"""What a longer search can gain, in a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tvmerge.report.language import tr


def prospect_line(found: Mapping[str, Any]) -> str:
    """Return what a run's `prospects` say, without a full stop."""
    answers = f"{found['answers']:,}"
    if found["stopped"]:
        begin = tr(
            "stopped after {answers} answers: expected gain of as many again under {limit}",
            answers=answers,
            limit=found["stop_when"],
        )
    else:
        begin = tr(
            "after {answers} answers, expected gain of as many again: {gain} points",
            answers=answers,
            gain=_points(found["gain"]),
        )
    return tr(
        "{begin}; estimated regret {regret} (95%: up to {most})",
        begin=begin,
        regret=_points(found["regret"]),
        most=_points(found["regret_95"]),
    )


def _points(value: float) -> str:
    return f"{value:.2g}"
