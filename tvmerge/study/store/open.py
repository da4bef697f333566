"""Opens the store of a study's trials.

Optuna's relational storage writes the parameters of a trial one by one, with a query for each. With hundreds
of parameters that would take most of a trial's time outside of the models. If the storage has a known schema,
rows are read and written in bulk instead; otherwise Optuna's methods are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from tvmerge.study.store.base import TrialStore

SCHEMAS = frozenset({"v3.2.0.a"})
"""Revisions of Optuna's relational schema whose tables are accessed directly."""


def open_trial_store(storage: BaseStorage, study_id: int) -> TrialStore:
    """Return the fastest store of trials that the storage supports."""
    from optuna.storages import RDBStorage

    if isinstance(storage, RDBStorage) and storage.get_current_version() in SCHEMAS:
        from tvmerge.study.store.rdb import RdbTrialStore

        return RdbTrialStore(storage, study_id)
    from tvmerge.study.store.optuna import OptunaTrialStore

    return OptunaTrialStore(storage, study_id)
