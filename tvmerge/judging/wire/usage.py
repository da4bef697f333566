"""Reads how many tokens a call was billed for."""

from __future__ import annotations

from typing import Final

from tvmerge.judging.client.chat import Usage

_MOST: Final = 10**9
"""No call has as many tokens. What is above, or below 0, would make nonsense of the costs."""


def usage_of(sent: object, replied: object, *cached: object) -> Usage | None:
    """Return the tokens that a provider names; None if it names none or impossible ones.

    Args:
        sent: Tokens of the prompt.
        replied: Tokens of the reply.
        cached: Tokens of the prompt that were not counted in `sent`; None for those that do not occur.
    """
    counts = [_count(value) for value in (sent, replied, *(value for value in cached if value is not None))]
    whole = [count for count in counts if count is not None]
    if len(whole) < len(counts):
        return None
    return Usage(whole[0] + sum(whole[2:]), whole[1])


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value <= _MOST else None
