"""Checks of a run's output paths before it starts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tvmerge._util.outputs import check_file, check_folder
from tvmerge.report.result_file import RESULT, TRIALS

if TYPE_CHECKING:
    from tvmerge.config import RunConfig

_FILES = ("ledger.jsonl", TRIALS, RESULT, "report.html")
_FOLDERS = ("model_answer", "model_judgment", "holdout/model_answer", "holdout/model_judgment")


def check_destinations(config: RunConfig) -> None:
    """Check that a run can write all of its outputs, without creating anything.

    Whether the model may replace the contents of its folder, and whether it fits, is checked once the models
    are
    open (`tvmerge.merging`).

    Raises:
        ConfigError: A folder or file cannot be written, or the disk is too full.
    """
    run = config.run_folder
    check_folder(run, "the run folder")
    for name in _FOLDERS:
        check_folder(run / name, "the run's folder")
    for name in _FILES:
        check_file(run / name, "the run's file")
    # A model is written to a sibling folder, which is then renamed.
    check_folder(config.model_folder.absolute().parent, "the folder of --output-dir,")
    if config.trace is not None:
        check_file(Path(config.trace), "--trace")
