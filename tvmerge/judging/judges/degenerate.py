"""Detects answers that need no judge: missing, empty or stuck in a loop.

Broken merges produce such answers, and providers reject some of them with errors that must not be mistaken
for an outage.
"""

from __future__ import annotations

from tvmerge.records import Answer

CUT_IN_THOUGHT = "no answer: cut in thought"

_REPETITIONS = 6
_CHARACTERS = 30


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
    for period in range(1, len(text) // _REPETITIONS + 1):
        span = max(period * _REPETITIONS, _CHARACTERS)
        # A text repeats with a period if it equals itself shifted by that period.
        if span <= len(text) and text[-span:-period] == text[len(text) - span + period :]:
            return True
    return False
