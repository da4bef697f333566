"""Opens and reads studies in Optuna storages, and checks their fingerprints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tvmerge._util.sqlite_files import GUARDED, check_files
from tvmerge._util.suggest import did_you_mean, meaning, near_file
from tvmerge._util.urls import hide_password_of, shown_url
from tvmerge.errors import StudyError
from tvmerge.records import Trial
from tvmerge.study.compare import compare
from tvmerge.study.sound import check_stored
from tvmerge.study.storage_url import read_url, reading_url, sqlite_file
from tvmerge.study.store.open import open_trial_store
from tvmerge.study.trials import times_of, trial_of
from tvmerge.study.winner import Choice, choose

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from tvmerge.report.course import TrialTimes

FINGERPRINT = "tvmerge:fingerprint"
"""Study attribute: everything that scores and the sequence of candidates depend on, by a readable name."""

RUN = "tvmerge:run"
"""Study attribute: what is needed to write the model of any trial, without the run's command line."""

ORIGIN = "tvmerge:origin"
"""Study attribute: the trials of other studies that it starts with, one row per study."""

N_TRIALS = "tvmerge:n_trials"
"""Study attribute: the total number of trials its latest run aims for."""

N_ANSWERS = "tvmerge:n_answers"
"""Study attribute: the number of answers its latest run aims for, in a search by blocks."""

USD_PER_ANSWER = "tvmerge:usd_per_answer"
"""Study attribute: what judging an answer costs, if a search stops by its gain per USD."""

SCHEMA = "tvmerge:schema"
"""Study attribute: the version of the format of tvmerge's attributes."""

VERSION = 1
"""The version of this release; studies of other versions are rejected."""

_TABLES = frozenset({"studies", "version_info", "alembic_version"})
"""Tables that exist in every storage set up by Optuna."""

_PATIENCE = 60.0
"""Seconds to wait for an SQLite file that another process is writing to."""


@dataclass(frozen=True, slots=True)
class StoredStudy:
    """A study as read from its storage.

    Attributes:
        name: Its name.
        run: The study attribute `RUN`.
        fingerprint: The study attribute `FINGERPRINT`.
        trials: Its trials, in order of number.
        attrs: All study attributes.
        last_told: When the last trial finished, in local time; None before the first.
        times: When each trial was asked and ended, by number.
    """

    name: str
    run: Mapping[str, Any]
    fingerprint: Mapping[str, Any]
    trials: tuple[Trial, ...]
    attrs: Mapping[str, Any]
    last_told: datetime | None = None
    times: Mapping[int, TrialTimes] = field(default_factory=dict)

    def choose(self, trial: str) -> Choice:
        """Return the trial with that number, the `winner` or `best-search`; see `winner.choose`.

        Raises:
            StudyError: There is no such trial.
        """
        return choose(self.name, self.attrs, self.trials, trial)


def open_storage(url: str) -> BaseStorage:
    """Open a storage for writing, and create its tables if they do not exist.

    For SQLite the folder is created, and the write-ahead log is enabled so that readers are not blocked.

    Raises:
        StudyError: The storage cannot be opened.
        MissingExtraError: The database's driver is not installed.
    """
    from optuna.storages import RDBStorage
    from sqlalchemy import NullPool

    file, address = sqlite_file(url), read_url(url).render_as_string(hide_password=False)
    with translated(url):
        if file is None:
            # A trial takes minutes and servers close idle connections, so each transaction gets a new one.
            return RDBStorage(address, engine_kwargs={"poolclass": NullPool})
        file.parent.mkdir(parents=True, exist_ok=True)
        check_files(file)
        storage = RDBStorage(address, engine_kwargs={"connect_args": {"timeout": _PATIENCE, **GUARDED}})
        with storage.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        return storage


def close_storage(storage: BaseStorage) -> None:
    """Close the connections of a storage that was opened to write to; those to read from keep none."""
    from optuna.storages import RDBStorage

    if isinstance(storage, RDBStorage):
        storage.remove_session()
        storage.engine.dispose()


def _look_into(url: str) -> BaseStorage | None:
    """Open a storage for reading; None if there is none or it has no tables of Optuna."""
    from optuna.storages import RDBStorage
    from sqlalchemy import NullPool, create_engine, inspect

    file = sqlite_file(url)
    if file is not None and not file.is_file():
        return None
    if file is not None:
        check_files(file)
    options: dict[str, Any] = {"poolclass": NullPool, "connect_args": {} if file is None else GUARDED}
    tables = inspect(create_engine(reading_url(url), **options)).get_table_names()
    if not _TABLES.issubset(tables):  # opening it would make Optuna create tables
        return None
    return RDBStorage(reading_url(url), engine_kwargs=options, skip_table_creation=True)


def enter_study(
    storage: BaseStorage,
    name: str,
    fingerprint: Mapping[str, object],
    run: Mapping[str, object],
    *,
    objectives: int = 1,
    origin: Sequence[Mapping[str, object]] = (),
) -> int:
    """Return the id of the study called `name`, creating it if it does not exist.

    Args:
        storage: The storage.
        name: The study's name.
        fingerprint: Everything that its scores and its sequence of candidates depend on.
        run: What is needed to write the model of any trial.
        objectives: Number of objectives, all of which are maximised.
        origin: The attribute `ORIGIN` of a new study.

    Raises:
        StudyError: The study exists with another fingerprint (the message lists the changes), was not made by
            tvmerge, or the storage failed.
    """
    from optuna.study import StudyDirection

    with translated(storage):
        known = _study_id(storage, name)
        if known is None:
            study_id = storage.create_new_study([StudyDirection.MAXIMIZE] * objectives, name)
            _describe(storage, study_id, _description(fingerprint, run, origin))
            return study_id
        study_id = known
        attrs = storage.get_study_user_attrs(study_id)
        stored = attrs.get(FINGERPRINT)
        if stored is None and not storage.get_all_trials(study_id):
            # An earlier run was killed between creating the study and setting its attributes.
            _describe(storage, study_id, _description(fingerprint, run, origin))
            return study_id
    if stored is None:
        raise StudyError(f"study '{name}' was not made by tvmerge; choose another --study-name")
    _check_version(name, attrs)
    compare(name, stored, fingerprint)
    return study_id


def _study_id(storage: BaseStorage, name: str) -> int | None:
    """Return the id of the study called `name`, without reading others; None if there is none."""
    try:
        return storage.get_study_id_from_name(name)
    except KeyError:
        return None


def _description(
    fingerprint: Mapping[str, object], run: Mapping[str, object], origin: Sequence[Mapping[str, object]]
) -> dict[str, object]:
    """Return the study attributes, the fingerprint last, so that a study with a fingerprint has them all."""
    return {SCHEMA: VERSION, ORIGIN: list(origin), RUN: dict(run), FINGERPRINT: dict(fingerprint)}


def _describe(storage: BaseStorage, study_id: int, attrs: Mapping[str, object]) -> None:
    for key, value in attrs.items():
        storage.set_study_user_attr(study_id, key, value)


def _check_version(name: str, attrs: Mapping[str, Any]) -> None:
    found = attrs.get(SCHEMA)
    if found != VERSION:
        raise StudyError(
            f"study '{name}' was written by another version of tvmerge (format {found}, this one reads "
            f"{VERSION}); use that version, or choose another --study-name"
        )


def has_study(url: str, name: str) -> bool:
    """Return whether a storage exists and has a study of that name, without writing anything.

    A study without attributes, whose run was killed right after creating it, does not count.

    Raises:
        StudyError: The storage cannot be read.
    """
    with translated(url):
        storage = _look_into(url)
        study_id = None if storage is None else _study_id(storage, name)
        if storage is None or study_id is None:
            return False
        return FINGERPRINT in storage.get_study_user_attrs(study_id) or bool(
            storage.get_all_trials(study_id, deepcopy=False)
        )


def study_names(url: str) -> tuple[str, ...]:
    """Return the names of the studies in a storage, without writing anything; none if there is no storage.

    Raises:
        StudyError: The storage cannot be read.
    """
    with translated(url):
        storage = _look_into(url)
        return () if storage is None else tuple(study.study_name for study in storage.get_all_studies())


def read_study(
    url: str, name: str, *, remedy: str = "pass --storage URL and --study-name NAME"
) -> StoredStudy:
    """Read a study without writing anything.

    Args:
        url: The storage URL.
        name: The study's name.
        remedy: What the user can do if it does not exist, for the message.

    Raises:
        StudyError: There is no such storage or study, or it was not made by this version of tvmerge.
    """
    file, shown = sqlite_file(url), shown_url(url)
    if file is not None and not file.is_file():
        near = meaning(near_file(file))
        raise StudyError(f"there is no study database at {file}{near}; {remedy}")
    with translated(url):
        storage = _look_into(url)
        study_id = None if storage is None else _study_id(storage, name)
        if storage is None or study_id is None:
            known = [] if storage is None else [study.study_name for study in storage.get_all_studies()]
            holds = f"it holds: {', '.join(sorted(known))}" if known else "it holds no study"
            where = f"{did_you_mean(name, known)} in {shown} ({holds})"
            raise StudyError(hide_password_of(url, f"there is no study '{name}'{where}; {remedy}"))
        attrs = storage.get_study_user_attrs(study_id)
        if RUN not in attrs:
            raise StudyError(f"study '{name}' in {shown} was not made by tvmerge")
        _check_version(name, attrs)
        rows = open_trial_store(storage, study_id).read()
        times = times_of({row.number: (row.datetime_start, row.datetime_complete) for row in rows})
    told = max((row.datetime_complete for row in rows if row.datetime_complete), default=None)
    trials = tuple(map(trial_of, rows))
    check_stored(name, attrs, trials)
    return StoredStudy(name, attrs[RUN], attrs.get(FINGERPRINT, {}), trials, attrs, told, times)


@contextmanager
def translated(storage: object) -> Iterator[None]:
    """Translate errors of a storage to `StudyError`."""
    from optuna.exceptions import OptunaError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (OptunaError, SQLAlchemyError, OSError, ImportError, RuntimeError) as error:
        first_line = str(error.__cause__ or error).strip().split("\n")[0]
        raise StudyError(_told(storage, f"failed: {first_line}")) from error
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError, ArithmeticError) as error:
        # What Optuna raises for rows that it did not write so.
        first_line = f"{type(error).__name__}: {error}".strip().split("\n")[0]
        raise StudyError(_told(storage, f"is damaged: {first_line}")) from error


def _told(storage: object, fault: str) -> str:
    url = storage if isinstance(storage, str) else str(getattr(storage, "url", "in memory"))
    return hide_password_of(url, f"the study's storage {url} {fault}")
