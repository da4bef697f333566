"""How the loopback servers rate: by a digest of what they are shown, the same on every protocol."""

from __future__ import annotations

import hashlib


def rating(user_prompt: str) -> int:
    """A rating from 1 to 10 that depends on every character of the prompt."""
    return hashlib.sha256(user_prompt.encode()).digest()[0] % 10 + 1


def reply(user_prompt: str) -> str:
    """What a judge would say."""
    return f"The answer is what it is.\n\nRating: [[{rating(user_prompt)}]]"
