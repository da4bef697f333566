"""Where a study is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StudyPlace:
    """Where the study of a run is.

    Attributes:
        name: Its name.
        storage: URL of its storage.
        parent: Name of the study that it is a fork of; its own where it is none.
        parent_storage: URL of that study's storage.
    """

    name: str
    storage: str
    parent: str
    parent_storage: str
