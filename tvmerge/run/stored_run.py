"""Reads a run, finished or not, from its folder or its study, without locking or writing anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tvmerge._util.urls import sqlite_url
from tvmerge.errors import StudyError
from tvmerge.judging.client.ledger import read_ledger
from tvmerge.judging.client.ledger_lines import read_calls
from tvmerge.records import QuestionId
from tvmerge.report.course import PaidCall, course_of
from tvmerge.report.result import Contender, RunRecord, Sample
from tvmerge.report.result_file import RESULT, TRIALS, compared_on, read_record, read_trials
from tvmerge.run.paths import LEDGER
from tvmerge.run.run_folder import STUDY, marked_study, no_run
from tvmerge.run.stored_answers import stored_samples
from tvmerge.run.unfinished import unfinished_record
from tvmerge.study.lock import is_study_locked
from tvmerge.study.storage import StoredStudy, read_study
from tvmerge.study.storage_url import sqlite_file
from tvmerge.study.winner import latest_winner, winner_of
from tvmerge.tasks.fastchat.question_file import QUESTIONS, read_questions


def read_run(folder: Path | None, storage: str | None = None, study: str | None = None) -> RunRecord:
    """Read a run: its result if it has ended, or else its study as it is now.

    Args:
        folder: The run folder; None if only the study is at hand, which has no answers.
        storage: The study's storage; None for the one in the run folder.
        study: The study's name; None for the study of the run folder.

    Raises:
        StudyError: There is no such study, or it has no scored trial yet.
        AssetError: A file of the run, named in the message, is damaged.
    """
    stored, held = _study(folder, storage, study)
    record = _read(folder, stored, held=held)
    times = {} if stored is None else stored.times
    return replace(record, course=course_of(record.trials, times, paid_calls(folder)))


def paid_calls(folder: Path | None) -> list[PaidCall]:
    """Return the calls in the ledger of a run folder.

    Raises:
        AssetError: The ledger is damaged.
    """
    return [] if folder is None else [PaidCall(*call) for call in read_calls(folder / LEDGER)]


def _read(folder: Path | None, stored: StoredStudy | None, *, held: bool) -> RunRecord:
    if folder is not None and (finished := _finished(folder, stored, held=held)) is not None:
        wanted = compared_on(folder / RESULT)
        return _with_samples(finished, folder, folder / "holdout", wanted)
    if folder is None:
        if stored is None:
            raise StudyError("pass --storage and --study-name")
        return unfinished_record(stored, held=held)
    if stored is None:
        raise no_run(folder)
    usage = read_ledger(folder / LEDGER).usage()
    record = replace(unfinished_record(stored, held=held), usage=tuple(row.as_json() for row in usage))
    return _with_samples(record, folder, folder, None)


def _study(folder: Path | None, storage: str | None, study: str | None) -> tuple[StoredStudy | None, bool]:
    """Return the study, if it can be read, and whether a run is working on it."""
    url = storage or (None if folder is None else sqlite_url(folder / STUDY))
    name = study or (None if folder is None else marked_study(folder))
    if url is None or name is None:
        return None, False
    file = sqlite_file(url)
    if storage is None and file is not None and not file.is_file():
        return None, False
    return read_study(url, name), is_study_locked(url, name)


def _finished(folder: Path, stored: StoredStudy | None, *, held: bool) -> RunRecord | None:
    """Return the result in the folder; None if there is none or the study has gone on since."""
    if held or not (folder / RESULT).is_file():
        return None
    if stored is not None and latest_winner(stored.attrs) and not winner_of(stored.attrs, stored.trials):
        return None
    # Studies of earlier releases, and of runs without held-out questions, name no winner.
    told = None if stored is None else sum(trial.told for trial in stored.trials)
    if (folder / TRIALS).is_file():
        trials = read_trials(folder / TRIALS)
        if told is not None and told > len(trials):
            return None
    else:
        trials = () if stored is None else stored.trials
    return read_record(folder / RESULT, trials)


def _with_samples(
    record: RunRecord, folder: Path, log: Path, wanted: tuple[QuestionId, ...] | None
) -> RunRecord:
    """Add the contenders' answers, if the folder has the questions; earlier releases did not store them.

    Args:
        record: The run.
        folder: The run folder.
        log: The folder with the answers.
        wanted: The questions whose answers to add; None for those of the search.
    """
    if not (folder / QUESTIONS).is_file():
        return record
    questions = read_questions(folder / QUESTIONS)
    ids = (
        tuple(question.question_id for question in questions if question.split == "search")
        if wanted is None
        else wanted
    )
    models = {_model(contender) for contender in record.contenders}
    samples = stored_samples(log, models, questions, frozenset(ids))
    return replace(record, contenders=tuple(_answered(c, samples) for c in record.contenders))


def _model(contender: Contender) -> str:
    """Return a contender's name in the log of answers."""
    return contender.key if contender.trial is None else str(contender.trial)


def _answered(contender: Contender, samples: Mapping[str, tuple[Sample, ...]]) -> Contender:
    return replace(contender, samples=samples.get(_model(contender), ()))
