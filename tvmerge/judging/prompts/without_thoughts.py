"""Removes thoughts that a server left in a judge's reply."""

from __future__ import annotations

import re

from tvmerge.reasoning.thoughts import split_texts, split_thoughts

_MORE_MARKS = tuple(
    (f"<{name}>", f"</{name}>")
    for name in ("analysis", "reflection", "scratchpad", "thought_process", "inner_monologue")
)
"""Tags that mark a thought in a judge's reply, although an answer may mention them."""

_NAMES = "|".join(["think", "thought", "reasoning", *(opening[1:-1] for opening, _ in _MORE_MARKS)])
_LATER = re.compile(rf"(?<![`'\"「『“‘])[<\[◁](?=[^<>\[\]▷\n]{{0,40}}(?:{_NAMES}))", re.IGNORECASE)


def without_thoughts(text: str) -> str | None:
    """Return `text` without thoughts, wherever they are; None if it ends within one.

    A tag in the middle of a sentence that is never closed is not a thought.
    """
    (parted,) = split_texts([text])
    parted = parted if parted.thoughts else split_thoughts(text, marks=_MORE_MARKS)
    if not parted.finished:
        return None
    said, place = parted.answer, 0
    while (opening := _LATER.search(said, place)) is not None:
        place = opening.start()
        later = split_thoughts(said[place:], marks=_MORE_MARKS)
        if not later.thoughts or later.before:
            place += 1
        elif later.finished:
            said = said[:place] + later.answer
        elif not said[said.rfind("\n", 0, place) + 1 : place].strip():
            return None
        else:
            place += 1
    return said
