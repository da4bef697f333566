"""Notes on a study's trials, as optuna-dashboard shows them.

The dashboard keeps notes in attributes of the study, since Optuna changes no trial that has ended: a version
that rises with each change, and the text in pieces.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

OURS = "**tvmerge:** "
"""What a paragraph of a note begins with that is not the user's."""

_LONGEST = 2045  # characters of an attribute, as in optuna-dashboard
_VERSION = re.compile(r"dashboard:(\d+):note_ver$")
_PIECE = re.compile(r"dashboard:(\d+):note_str:(\d+)$")
_GAP = "\n\n"


def note_prefix(trial_id: int) -> str:
    """Return how the names of the attributes begin that hold a trial's note."""
    return f"dashboard:{trial_id}:note_"


def noted(attrs: Iterable[str]) -> frozenset[int]:
    """Return the ids of the trials that have notes.

    Args:
        attrs: The names of the study's system attributes.
    """
    return frozenset(int(found[1]) for key in attrs if (found := _VERSION.match(key)))


def changed_notes(attrs: Mapping[str, Any], texts: Mapping[int, str]) -> dict[str, Any]:
    """Return the attributes that put a paragraph into trials' notes, in place of an earlier one.

    The user's paragraphs stay. Notes that have the paragraph already need no change.

    Args:
        attrs: The system attributes of the study.
        texts: The paragraphs, in Markdown, by the ids of the trials in the storage.
    """
    pieces = _pieces(attrs)
    found: dict[str, Any] = {}
    for trial_id, text in texts.items():
        before = [piece for _, piece in sorted(pieces[trial_id])]
        body = _with_paragraph("".join(before), text)
        if body != "".join(before):
            version = f"dashboard:{trial_id}:note_ver"
            found |= _cut(trial_id, body, len(before)) | {version: int(attrs.get(version, 0)) + 1}
    return found


def _pieces(attrs: Mapping[str, Any]) -> Mapping[int, list[tuple[int, str]]]:
    """Return the pieces of each trial's note, with their places."""
    pieces = defaultdict(list)
    for key, piece in attrs.items():
        if found := _PIECE.match(key):
            pieces[int(found[1])].append((int(found[2]), str(piece)))
    return pieces


def _with_paragraph(note: str, text: str) -> str:
    others = [part for part in note.split(_GAP) if part and not part.startswith(OURS)]
    return _GAP.join([*([f"{OURS}{text}"] if text else []), *others])


def _cut(trial_id: int, body: str, before: int) -> dict[str, str]:
    """Cut a note into pieces; those not needed any more are emptied, since attributes cannot be removed."""
    return {
        f"dashboard:{trial_id}:note_str:{number}": body[number * _LONGEST : (number + 1) * _LONGEST]
        for number in range(max(before, -(-len(body) // _LONGEST)))
    }
