"""Notes on a study's trials, as optuna-dashboard shows them.

The dashboard keeps notes in attributes of the study, since Optuna changes no trial that has ended: a version
that rises with each change, and the text in pieces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

OURS = "**tvmerge:** "
"""What a paragraph of a note begins with that is not the user's."""

_LONGEST = 2045  # characters of an attribute, as in optuna-dashboard
_GAP = "\n\n"


def write_note(storage: BaseStorage, study_id: int, trial_id: int, text: str) -> None:
    """Write a paragraph of a trial's note in place of an earlier one, and leave the user's paragraphs.

    Args:
        storage: The study's storage.
        study_id: Its id.
        trial_id: The id of the trial in the storage.
        text: The paragraph, in Markdown; empty to remove the earlier one.
    """
    version, pieces = f"dashboard:{trial_id}:note_ver", f"dashboard:{trial_id}:note_str:"
    attrs = storage.get_study_system_attrs(study_id)
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
