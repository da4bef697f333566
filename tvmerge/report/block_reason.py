"""Says in the language of the report how many questions a candidate answered at a time, and why.

The study stores the reason in English, as `tvmerge.study.blocks.size` words it, so its parts are looked up.
"""

from __future__ import annotations

import re
from functools import cache

from tvmerge.report.language import ENGLISH, current, tr

PARTS = (
    "a candidate answers {n} questions at a time: {why}",
    "{judging}, and a candidate takes {fixed} s and {each} s for each answer, of devices at {usd} USD "
    "an hour",
    "{judging}, and a candidate takes {fixed} s and {each} s for each answer",
    "{judging}, and a candidate takes less than {seconds} s",
    "{judging}, and a candidate takes {seconds} s, which cost {cost} USD at {usd} USD an hour",
    "{judging}, and there are no more questions, or no more fit into a batch",
    "{judging}, and no time was measured",
    "{judging}, but no time was measured, so this was assumed",
    "{judging}, but the time of an answer by itself was not measured",
    "judging an answer costs {usd} USD",
    "judging costs nothing",
    "what judging costs is not known",
    "what judging costs was not measured",
)
"""The sentence and its parts, each before any that would fit the same text."""

_LONGEST = 500
"""Characters of a longer text than any that a run writes."""


def block_reason(text: str) -> str:
    """Return the sentence of a run in the language in use; what is not known stays in English.

    Args:
        text: `RunRecord.block`.
    """
    if current() == ENGLISH or len(text) > _LONGEST:
        return text
    for part in PARTS:
        if (found := _pattern(part).fullmatch(text)) is not None:
            return tr(part, **{name: block_reason(value) for name, value in found.groupdict().items()})
    return text


@cache
def _pattern(part: str) -> re.Pattern[str]:
    """Return what a part matches once its places are filled; a number contains no comma."""
    places = re.split(r"\{(\w+)\}", part)
    words = [
        re.escape(text) if n % 2 == 0 else f"(?P<{text}>{_filled(text)})" for n, text in enumerate(places)
    ]
    return re.compile("".join(words))


def _filled(place: str) -> str:
    return {"why": ".+", "judging": "[^,]+"}.get(place, r"[0-9.e+-]+")
