"""Detects answers that need no judge: missing, empty or stuck in a loop.

Broken merges produce such answers, and providers reject some of them with errors that must not be mistaken
for an outage.
"""

from __future__ import annotations

from tvmerge.records import Answer

CUT_IN_THOUGHT = "no answer: cut in thought"

_REPETITIONS = 6
_CHARACTERS = 30
_OVERLAP = _CHARACTERS - _CHARACTERS // _REPETITIONS
"""Minimum number of characters over which a loop equals itself shifted by its period."""


def why_unjudgeable(answer: Answer, turn: int) -> str:
    """Return why `turn` (from 1) of an answer gets the lowest score without a judge, or an empty string.

    If the model was still thinking, there is no answer; otherwise see `why_degenerate`.
    """
    if answer.cut_in_thought(turn):
        return CUT_IN_THOUGHT
    return why_degenerate(answer.turns[turn - 1])


def why_degenerate(text: str) -> str:
    """Return why `text` gets the lowest score without a judge, or an empty string.

    A text is degenerate if it is blank, or if it ends in a string repeated at least 6 times over at least 30
    characters. The last repetition may be cut off by the token limit.
    """
    stripped = text.strip()
    if not stripped:
        return "empty answer"
    return "endless repetition" if _ends_in_a_loop(stripped) else ""


def _ends_in_a_loop(text: str) -> bool:
    """Return whether `text` ends in a loop, in a time proportional to its length."""
    turned = text[::-1]
    longest = len(turned) // _REPETITIONS
    # A text repeats with a period if it equals itself shifted by that period. Few texts do so even over the
    # least number of characters, which is looked for first.
    if turned.find(turned[:_OVERLAP], 1, longest + _OVERLAP) < 0:
        return False
    shared = _shared_lengths(turned)
    return any(
        period + shared[period] >= max(period * _REPETITIONS, _CHARACTERS) for period in range(1, longest + 1)
    )


def _shared_lengths(text: str) -> list[int]:
    """Return for each position how far the text from there on equals its beginning (the Z-function)."""
    shared = [0] * len(text)
    begin = end = 0
    for position in range(1, len(text)):
        length = min(end - position, shared[position - begin]) if position < end else 0
        while position + length < len(text) and text[length] == text[position + length]:
            length += 1
        shared[position] = length
        if position + length > end:
            begin, end = position, position + length
    return shared
