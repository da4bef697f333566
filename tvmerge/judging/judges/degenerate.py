"""Answers that need no judge: none at all, empty, or stuck in a loop.

Broken merges produce them, and providers refuse some of them with an error, which must not look like an
outage.
"""

from __future__ import annotations

from tvmerge.records import Answer

CUT_IN_THOUGHT = "no answer: cut in thought"

_REPETITIONS = 6
_CHARACTERS = 30


def flaw(answer: Answer, turn: int) -> str:
    """Why `turn` (from 1) of an answer deserves the floor score unread, or an empty string.

    Where the model was still thinking there is no answer; else see `degeneracy`.
    """
    if answer.cut_in_thought(turn):
        return CUT_IN_THOUGHT
    return degeneracy(answer.turns[turn - 1])


def degeneracy(text: str) -> str:
    """Why `text` deserves the floor score unread, or an empty string.

    It is degenerate when it is blank, or ends in one string repeated at least 6 times over at least 30
    characters. The last repetition may be cut off, as the token limit does.
    """
    stripped = text.strip()
    if not stripped:
        return "empty answer"
    return "endless repetition" if _ends_in_a_loop(stripped) else ""


def _ends_in_a_loop(text: str) -> bool:
    for period in range(1, len(text) // _REPETITIONS + 1):
        span = max(period * _REPETITIONS, _CHARACTERS)
        # A text repeats with a period where it equals itself shifted by that period.
        if span <= len(text) and text[-span:-period] == text[len(text) - span + period :]:
            return True
    return False
