"""`tvmerge.status`."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

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
    from tvmerge.judging.client.ledger import read_ledger
    from tvmerge.run.paths import LEDGER
    from tvmerge.run.run_folder import named_study
    from tvmerge.study.status import JudgeCosts, read_status

    folder = None if run_dir is None else Path(run_dir)
    url, name = named_study(folder, storage, study_name)
    usage = () if folder is None else read_ledger(folder / LEDGER).usage()
    costs = {row.judge: JudgeCosts(row.calls, row.cost) for row in usage if row.calls}
    return read_status(url, name, costs)
