"""What searches of either kind have in common: a study in a storage, held by one run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tvmerge.study.storage import close_storage, translated

if TYPE_CHECKING:
    from optuna.storages import BaseStorage


class StoredSearch:
    """A study in a storage.

    Args:
        storage: Where it is stored.
        study_id: Its id in the storage.
        still_held: Raises `StudyError` if another run has taken over the study; called before each write.
    """

    def __init__(self, storage: BaseStorage, study_id: int, still_held: Callable[[], None]) -> None:
        self._storage = storage
        self._id = study_id
        self._still_held = still_held

    def record(self, key: str, value: object) -> None:
        """Record something about the study itself, as plain JSON data.

        Raises:
            StudyError: The storage cannot be written, or another run took the study over.
        """
        self._still_held()
        with translated(self._storage):
            self._storage.set_study_user_attr(self._id, key, value)

    def close(self) -> None:
        """Close the connections to the storage; what is known of the trials stays readable."""
        close_storage(self._storage)
