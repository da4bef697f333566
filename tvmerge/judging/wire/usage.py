"""Reads how many tokens a call was billed for."""

from __future__ import annotations

from typing import Final

from tvmerge.judging.client.chat import Usage

_MOST: Final = 10**9
"""No call has as many tokens. What is above, or below 0, would make nonsense of the costs."""


def usage_of(sent: object, replied: object, *cached: object, total: object = None) -> Usage | None:
    """Return the tokens that a provider names; None if it names none or impossible ones.

    Args:
        sent: Tokens of the prompt.
        replied: Tokens of the reply.
        cached: Tokens of the prompt that were not counted in `sent`; None for those that do not occur.
        total: Tokens of prompt, reply and thoughts. xAI and Gemini bill thoughts that they do not count in
            `replied`. None if it is not named.
    """
    named = (sent, replied, *(value for value in (*cached, total) if value is not None))
    counts = [count for value in named if (count := _count(value)) is not None]
    if len(counts) < len(named):
        return None
    everything = 0 if total is None else counts.pop()
    read = counts[0] + sum(counts[2:])
    return Usage(read, max(counts[1], everything - read))


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value <= _MOST else None
