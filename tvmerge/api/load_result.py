"""`tvmerge.load_result`."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from tvmerge._util.urls import sqlite_url
from tvmerge.errors import ConfigError
from tvmerge.records import Trial
from tvmerge.report.result_file import RESULT, TRIALS, read_record, read_trials
from tvmerge.report.run_result import RunResult


def load_result(path: str | PathLike[str]) -> RunResult:
    """Load the result of a run from its folder.

    It is what `optimize` returned, without the contenders' answers (`Contender.samples`), which are only in
    their files. Runs of earlier releases can be read too.

    Args:
        path: The run folder, or the `result.json` in it.

    Raises:
        TvmergeError: The file does not exist, or was not written by a run.

    Example:
        >>> import tvmerge
        >>> result = tvmerge.load_result("runs/demo")
        >>> result.study, len(result.trials)
        ('demo', 48)
        >>> sorted(result.figures)
        ['history', 'scores', 'weights']
    """
    file = Path(path)
    if file.is_dir():
        file /= RESULT
    if not file.is_file():
        raise ConfigError(f"there is no {file}; pass the folder of a finished run")
    folder = file.parent
    record = read_record(file, _trials(folder))
    return RunResult.of(record, folder)


def _trials(folder: Path) -> tuple[Trial, ...]:
    """Return the trials of the run in `folder`; earlier releases stored them in the study only."""
    if (folder / TRIALS).is_file():
        return read_trials(folder / TRIALS)
    mark, database = folder / ".study", folder / "study.db"
    if not (mark.is_file() and database.is_file()):
        return ()
    from tvmerge.study.storage import read_study

    stored = read_study(sqlite_url(database), mark.read_text(encoding="utf-8").strip())
    return stored.trials
