"""`tvmerge.load_result`."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from tvmerge.errors import ConfigError
from tvmerge.report.run_result import RunResult


def load_result(
    path: str | PathLike[str] | None = None, *, storage: str | None = None, study_name: str | None = None
) -> RunResult:
    """Load a run from its folder. Nothing is locked or written.

    A finished run is what `optimize` returned. Of a run that has not ended, it is what is known so far;
    `unfinished` says how far it has come. Runs of earlier releases can be read too, without the contenders'
    answers (`Contender.samples`).

    Args:
        path: The run folder, or the `result.json` in it; None for a study alone, which has no answers.
        storage: The study's storage; None for the one in the run folder.
        study_name: The study's name; None for the study of the run folder.

    Raises:
        TvmergeError: There is no such run, nothing is known of it yet, or a file of it is damaged.

    Examples:
        >>> import tvmerge
        >>> result = tvmerge.load_result("runs/demo")
        >>> result.study, len(result.trials)
        ('demo', 48)
        >>> result.unfinished
        ''
    """
    from tvmerge.run.run_folder import check_folder
    from tvmerge.run.stored_run import read_run

    if path is None:
        if storage is None or study_name is None:
            raise ConfigError("pass a run folder, or --storage and --study-name")
        return RunResult.of(read_run(None, storage, study_name), Path())
    folder = Path(path)
    if folder.is_file():
        folder = folder.parent
    check_folder(folder)
    return RunResult.of(read_run(folder, storage, study_name), folder)
