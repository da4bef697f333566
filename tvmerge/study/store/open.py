"""A study's trials, each written in one transaction, all read in a few queries.

Optuna's storage writes a trial one parameter at a time, with a query for each; at hundreds of dimensions
that is most of what a trial costs outside of the models. In a relational storage of the schema we know,
rows are written and read in bulk instead; in any other, through Optuna's own methods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from tvmerge.study.store.base import TrialStore

SCHEMAS = frozenset({"v3.2.0.a"})
"""Revisions of Optuna's relational schema whose tables are used directly."""


def open_trial_store(storage: BaseStorage, study_id: int) -> TrialStore:
    """The fastest store of trials that the storage allows."""
    from optuna.storages import RDBStorage

    if isinstance(storage, RDBStorage) and storage.get_current_version() in SCHEMAS:
        from tvmerge.study.store.rdb import RdbTrialStore

        return RdbTrialStore(storage, study_id)
    from tvmerge.study.store.optuna import OptunaTrialStore

    return OptunaTrialStore(storage, study_id)
