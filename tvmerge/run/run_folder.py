"""Which study a run folder belongs to, and which run folder may be meant by one that does not exist."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tvmerge._util.encodings import read_text
from tvmerge._util.suggest import closest, meaning
from tvmerge._util.urls import sqlite_url
from tvmerge.errors import ConfigError, StudyError

RUNS = Path("runs")
"""The folder in which runs have their folders by default."""

MARK = ".study"
"""The file in a run folder that has the name of its study."""

STUDY = "study.db"
"""The file in a run folder that is the storage of its study, unless the run names another storage."""


def named_study(folder: Path | None, storage: str | None, study: str | None) -> tuple[str, str]:
    """Return the storage and the name of a study that is named by its run folder, or by these two.

    Args:
        folder: The run folder; None if both others are known.
        storage: The storage; None for the one in the run folder.
        study: The name; None for the study of the run folder.

    Raises:
        ConfigError: Neither the folder nor both others are given.
        StudyError: There is no such run folder.
    """
    if folder is None:
        if storage is None or study is None:
            raise ConfigError("pass --run-dir, or --storage and --study-name")
        return storage, study
    return storage or sqlite_url(folder / STUDY), study or study_of(folder)


def study_of(folder: Path) -> str:
    """Return the name of the study of a run folder.

    Raises:
        StudyError: There is no such folder, or it is not the folder of a run.
    """
    check_folder(folder)
    if (name := marked_study(folder)) is None:
        raise no_run(folder)
    return name


def no_run(folder: Path) -> StudyError:
    """Return the error that a folder is not the folder of a run."""
    inside = ", ".join(_runs_in(folder))
    held = f" (it holds the run folders {inside})" if inside else ""
    return StudyError(f"{folder} is not a run folder{held}; pass --storage and --study-name")


def marked_study(folder: Path) -> str | None:
    """Return the name of the study of a run folder; None if it is no run folder.

    Raises:
        StudyError: The file with the name cannot be read.
    """
    mark = folder / MARK
    return read_text(mark, error=StudyError).strip() if mark.is_file() else None


def check_folder(folder: Path) -> None:
    """Raise if there is no folder at that path, with the run folder that may be meant.

    Raises:
        StudyError: There is none.
    """
    if not folder.is_dir():
        raise StudyError(f"there is no run folder {folder}{meaning(near_run(folder))}")


def runs_within(folder: Path) -> Iterator[Path]:
    """Yield the run folders that are `folder` or in it, at any depth."""
    for place, _, files in os.walk(folder):
        if MARK in files:
            yield Path(place)


def near_run(folder: Path) -> Path | None:
    """Return the run folder whose name is most like that of `folder`: beside it, in `RUNS`, or here."""
    known: dict[str, Path] = {}
    for place in (folder.parent, RUNS, Path()):
        known = {name: place / name for name in _runs_in(place)} | known
    name = closest(folder.name, known)
    return None if name is None else known[name]


def named_folder(run: str) -> Path:
    """Return the run folder at that path, or of that name in `RUNS`.

    Raises:
        StudyError: There is none.
    """
    folder = next((path for path in (Path(run), RUNS / run) if path.is_dir()), None)
    if folder is not None:
        return folder
    known = _runs_in(RUNS)
    there = f"it holds: {', '.join(known)}" if known else "it holds no run"
    near = meaning(near_run(Path(run)))
    raise StudyError(f"there is no run folder {run}{near}, and none of that name in {RUNS}/ ({there})")


def _runs_in(place: Path) -> list[str]:
    """Return the names of the run folders in a folder."""
    return sorted(mark.parent.name for mark in place.glob(f"*/{MARK}"))
