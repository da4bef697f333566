"""Notes on a study's trials, as optuna-dashboard shows them.

The dashboard keeps notes in attributes of the study, since Optuna changes no trial that has ended: a version
that rises with each change, and the text in pieces.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

OURS = "**tvmerge:** "
"""What a paragraph of a note begins with that is not the user's."""

_LONGEST = 2045  # characters of an attribute, as in optuna-dashboard
_VERSION = re.compile(r"dashboard:(\d+):note_ver$")
_GAP = "\n\n"


def noted(storage: BaseStorage, study_id: int) -> frozenset[int]:
    """Return the ids of the trials that have notes."""
    keys = storage.get_study_system_attrs(study_id)
    return frozenset(int(found[1]) for key in keys if (found := _VERSION.match(key)))


def write_notes(storage: BaseStorage, study_id: int, texts: Mapping[int, str]) -> None:
    """Write a paragraph of trials' notes in place of an earlier one, and leave the user's paragraphs.

    Args:
        storage: The study's storage.
        study_id: Its id.
        texts: The paragraphs, in Markdown, by the ids of the trials in the storage.
    """
    attrs = storage.get_study_system_attrs(study_id)
    for trial_id, text in texts.items():
        _write(storage, study_id, attrs, trial_id, text)


def _write(storage: BaseStorage, study_id: int, attrs: Mapping[str, Any], trial_id: int, text: str) -> None:
    version, pieces = f"dashboard:{trial_id}:note_ver", f"dashboard:{trial_id}:note_str:"
    before = [attrs[key] for key in sorted((k for k in attrs if k.startswith(pieces)), key=_place)]
    others = [part for part in "".join(before).split(_GAP) if part and not part.startswith(OURS)]
    body = _GAP.join([*([f"{OURS}{text}"] if text else []), *others])
    if body == "".join(before):
        return
    # Pieces that are not needed any more are emptied, since attributes cannot be removed.
    count = max(len(before), -(-len(body) // _LONGEST))
    for number in range(count):
        piece = body[number * _LONGEST : (number + 1) * _LONGEST]
        storage.set_study_system_attr(study_id, f"{pieces}{number}", piece)
    storage.set_study_system_attr(study_id, version, int(attrs.get(version, 0)) + 1)


def _place(key: str) -> int:
    return int(key.rpartition(":")[2])
