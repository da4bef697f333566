"""The name and storage of a study."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StudyLocation:
    """The name and storage of a run's study.

    Attributes:
        name: Its name.
        storage: URL of its storage.
        parent: Name of the study that it forks; its own name if it is not a fork.
        parent_storage: URL of that study's storage.
    """

    name: str
    storage: str
    parent: str
    parent_storage: str
