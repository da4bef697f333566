"""`tvmerge.status`."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from tvmerge._util.urls import sqlite_url
from tvmerge.errors import ConfigError, StudyError

if TYPE_CHECKING:
    from tvmerge.study.status import StudyStatus


def status(
    run_dir: str | PathLike[str] | None = None, *, storage: str | None = None, study_name: str | None = None
) -> StudyStatus:
    """Return the status of a study, running or finished. Nothing is locked or written.

    Args:
        run_dir: The run folder.
        storage: The study's storage; None for the one in the run folder.
        study_name: The study's name; None for the study of the run folder.

    Returns:
        The status; `print` shows it as `tvmerge status` does.

    Raises:
        TvmergeError: The study does not exist, or its storage cannot be read.

    Examples:
        >>> import tvmerge
        >>> found = tvmerge.status("runs/demo")
        >>> found.answers.told, found.answers.total, found.held
        (240, 240, False)
    """
    from tvmerge.study.status import judge_costs, read_status

    if run_dir is None and (storage is None or study_name is None):
        raise ConfigError("pass --run-dir, or --storage and --study-name")
    if run_dir is None:
        return read_status(str(storage), str(study_name))
    folder = Path(run_dir)
    url = storage or sqlite_url(folder / "study.db")
    return read_status(url, study_name or _study_of(folder), judge_costs(folder / "ledger.jsonl"))


def _study_of(folder: Path) -> str:
    mark = folder / ".study"
    if not mark.is_file():
        raise StudyError(f"{folder} is not a run folder; pass --storage and --study-name")
    return mark.read_text(encoding="utf-8").strip()
