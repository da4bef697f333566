"""Optuna storages: opened, guarded by a fingerprint, read back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmerge.canonical import canonical_json
from tvmerge.errors import StudyError
from tvmerge.records import Recipe

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

FINGERPRINT = "tvmerge:fingerprint"
"""Study attribute: what the scores and the sequence of candidates depend on, by a readable name."""

RUN = "tvmerge:run"
"""Study attribute: what is needed to make any trial's model again, without the run's command line."""

_SQLITE = "sqlite:///"


@dataclass(frozen=True, slots=True)
class StoredStudy:
    """A study as it lies in its storage.

    Attributes:
        name: Its name.
        run: What was recorded under `RUN`.
        fingerprint: What was recorded under `FINGERPRINT`.
        rows: Its trials, in order of number.
    """

    name: str
    run: Mapping[str, Any]
    fingerprint: Mapping[str, Any]
    rows: tuple[FrozenTrial, ...]

    def recipe(self, trial: str) -> Recipe:
        """The weights of the trial with that number, or of the `best`.

        Raises:
            StudyError: There is no such trial.
        """
        if trial == "best":
            scored = [row for row in self.rows if row.state.name == "COMPLETE"]
            if not scored:
                raise StudyError(f"study '{self.name}' has no scored trial yet")
            row = max(scored, key=lambda row: (row.values[0], -row.number))
        elif trial.isdecimal() and int(trial) < len(self.rows):
            row = self.rows[int(trial)]
        else:
            raise StudyError(
                f"study '{self.name}' has no trial '{trial}'; it has 0 to {len(self.rows) - 1}, and `best`"
            )
        return Recipe(row.params)


def open_storage(url: str) -> BaseStorage:
    """Open a storage; for SQLite its folder is made and readers are not blocked by the writer.

    Raises:
        StudyError: The storage cannot be opened.
    """
    from optuna.storages import RDBStorage

    with translated(url):
        if not url.startswith(_SQLITE):
            return RDBStorage(url)
        Path(url.removeprefix(_SQLITE)).parent.mkdir(parents=True, exist_ok=True)
        storage = RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}})
        with storage.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        return storage


def enter_study(
    storage: BaseStorage,
    name: str,
    fingerprint: Mapping[str, object],
    run: Mapping[str, object],
    *,
    objectives: int = 1,
) -> int:
    """The id of the study called `name`, made if it does not exist, with that many scores to maximise.

    Raises:
        StudyError: The study exists with another fingerprint (says what changed), is no study of
            tvmerge's, or the storage failed.
    """
    from optuna.study import StudyDirection

    with translated(storage):
        known = {study.study_name: study for study in storage.get_all_studies()}
        if name not in known:
            study_id = storage.create_new_study([StudyDirection.MAXIMIZE] * objectives, name)
            storage.set_study_user_attr(study_id, RUN, dict(run))
            storage.set_study_user_attr(study_id, FINGERPRINT, dict(fingerprint))
            return study_id
        study_id = storage.get_study_id_from_name(name)
        stored = storage.get_study_user_attrs(study_id).get(FINGERPRINT)
        if stored is None and not storage.get_all_trials(study_id):
            # Killed between making the study and describing it; nothing depends on it yet.
            storage.set_study_user_attr(study_id, RUN, dict(run))
            storage.set_study_user_attr(study_id, FINGERPRINT, dict(fingerprint))
            return study_id
    if stored is None:
        raise StudyError(f"study '{name}' was not made by tvmerge; choose another --study-name")
    _compare(name, stored, fingerprint)
    return study_id


def read_study(url: str, name: str) -> StoredStudy:
    """Read a study without changing it.

    Raises:
        StudyError: There is no such storage or study, or it was not made by tvmerge.
    """
    if url.startswith(_SQLITE) and not Path(url.removeprefix(_SQLITE)).is_file():
        raise StudyError(f"there is no study database at {url.removeprefix(_SQLITE)}")
    storage = open_storage(url)
    with translated(url):
        known = {study.study_name: study for study in storage.get_all_studies()}
        if name not in known:
            listed = ", ".join(sorted(known)) or "none"
            raise StudyError(f"there is no study '{name}' in {url}; it holds: {listed}")
        attrs = known[name].user_attrs
        rows = storage.get_all_trials(storage.get_study_id_from_name(name))
    if RUN not in attrs:
        raise StudyError(f"study '{name}' in {url} was not made by tvmerge")
    return StoredStudy(
        name=name,
        run=attrs[RUN],
        fingerprint=attrs.get(FINGERPRINT, {}),
        rows=tuple(sorted(rows, key=lambda row: row.number)),
    )


@contextmanager
def translated(storage: object) -> Iterator[None]:
    """Turn a storage's failures into `StudyError`."""
    from optuna.exceptions import OptunaError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (OptunaError, SQLAlchemyError, OSError, ImportError) as error:
        first_line = str(error.__cause__ or error).strip().split("\n")[0]
        where = storage if isinstance(storage, str) else getattr(storage, "url", "in memory")
        raise StudyError(f"the study's storage {where} failed: {first_line}") from error


def _compare(name: str, stored: Mapping[str, object], current: Mapping[str, object]) -> None:
    changed = [
        f"{key} was {_short(stored.get(key))}, is {_short(current.get(key))}"
        for key in dict.fromkeys((*stored, *current))
        if canonical_json(stored.get(key)) != canonical_json(current.get(key))
    ]
    if changed:
        raise StudyError(
            f"study '{name}' cannot be resumed with other settings: {'; '.join(changed)}; "
            "restore them, or choose another --study-name"
        )


def _short(value: object, limit: int = 100) -> str:
    text = value if isinstance(value, str) else canonical_json(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
