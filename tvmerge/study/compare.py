"""Compares the fingerprint of a study with that of a run that would resume it."""

from __future__ import annotations

from collections.abc import Mapping

from tvmerge._util.canonical import canonical_json
from tvmerge.errors import StudyError


def compare(name: str, stored: Mapping[str, object], current: Mapping[str, object]) -> None:
    """Check that a study's fingerprint is unchanged.

    Raises:
        StudyError: It has changed; the message lists the changes.
    """
    changed = [
        f"{key} was {_short(stored.get(key))}, is {_short(current.get(key))}"
        for key in dict.fromkeys((*stored, *current))
        if canonical_json(stored.get(key)) != canonical_json(current.get(key))
    ]
    if changed:
        raise StudyError(
            f"study '{name}' cannot be resumed with other settings: {'; '.join(changed)}; "
            "restore them, choose another --study-name, or continue from its trials with --fork NEW_NAME"
        )


def _short(value: object, limit: int = 100) -> str:
    text = value if isinstance(value, str) else canonical_json(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
