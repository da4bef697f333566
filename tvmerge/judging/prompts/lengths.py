"""Bounds the text that ratings are looked for in.

What finds ratings looks around each bracket and each line, so a text of a million blanks or brackets would
take hours. No judgment has them.
"""

from __future__ import annotations

import re
from typing import Final

TOO_LONG: Final = "the reply is longer than any judgment"

_REPLY = 1_000_000
"""Maximum number of characters of a reply with its thoughts."""
_JUDGMENT = 40_000
"""Maximum number of characters of a judgment."""
_TAGS = 200
"""Maximum number of marks of thoughts in a reply, from each of which on its thoughts are looked for."""
_MARKS = 400
"""Maximum number of opening brackets, tags and fences in a judgment, around each of which is looked."""
_RUN = 40
"""Number of characters that are left of a run of blanks, of digits or of signs."""

_OPENING = re.compile(r"[\[【［{<◁`]")
_TAG = re.compile(
    r"<\||[<\[◁](?=[^<>\[\]▷\n]{0,40}(?:think|thought|reasoning|analysis|reflection|scratchpad|monologue))",
    re.IGNORECASE,
)
_RUNS = re.compile(
    rf"[\s\u200b\ufeff]{{{_RUN},}}|[0-9０-９]{{{_RUN},}}|[^\w\s]{{{_RUN},}}|(?:[^\w\s]\s*){{{_RUN},}}"
)


def too_long(text: str) -> bool:
    """Return whether a reply, with its thoughts, is too long or has too many marks of thoughts to be read."""
    return len(text) > _REPLY or _number(_TAG, text) > _TAGS


def too_long_to_judge(said: str) -> bool:
    """Return whether a reply without its thoughts is too long, or has too many brackets, to be a judgment."""
    return len(said) > _JUDGMENT or _number(_OPENING, said) > _MARKS


def shortened(text: str) -> str:
    """Return `text` with only the ends of long runs of blanks, digits or signs, and a line break in them."""
    return _RUNS.sub(_ends, text)


def _number(mark: re.Pattern[str], text: str) -> int:
    return sum(1 for _ in mark.finditer(text))


def _ends(run: re.Match[str]) -> str:
    return run[0][: _RUN // 2] + "\n" * ("\n" in run[0]) + run[0][-_RUN // 2 :]
