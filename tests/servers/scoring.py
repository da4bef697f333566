"""How the loopback servers rate: by a digest of what they are shown, the same on every protocol."""

from __future__ import annotations

import hashlib
import re


def rating(user_prompt: str) -> int:
    """A rating from 1 to 10 that depends on every character of the prompt."""
    return hashlib.sha256(user_prompt.encode()).digest()[0] % 10 + 1


def ratings(user_prompt: str, turns: int) -> tuple[int, ...]:
    """Ratings of several turns that depend on every character of the prompt."""
    return tuple(rating(f"{turn} {user_prompt}") for turn in range(1, turns + 1))


def reply(user_prompt: str) -> str:
    """What a judge would say; if it is asked about every turn, with a rating of each."""
    several = re.search(r"(?:number of turns is|ターンの数は) ([0-9]+)", user_prompt)
    if several is not None:
        found = enumerate(ratings(user_prompt, int(several[1])), start=1)
        lines = [f"Turn {turn}: [[{score}]]" for turn, score in found]
        return "\n".join(["The answers are what they are.", "", *lines])
    return f"The answer is what it is.\n\nRating: [[{rating(user_prompt)}]]"
