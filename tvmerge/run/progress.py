"""Opens the display of a run, before anything is loaded."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from tvmerge._version import __version__
from tvmerge.report.terminal.progress import Progress
from tvmerge.run.paths import RunPaths

if TYPE_CHECKING:
    from tvmerge.config import RunConfig


def progress_of(
    config: RunConfig, *, quiet: bool = False, tell: Callable[[str], object] | None = None
) -> Progress:
    """Return the display of a run, which has said what the run is.

    Args:
        config: The run's settings.
        quiet: Show nothing.
        tell: Called with each line of progress; None shows it on standard error.

    Raises:
        ConfigError: The log of events cannot be written.
    """
    paths = RunPaths.of(config)
    log = paths.event_log()
    limited = config.max_thinking_tokens is not None
    progress = Progress(quiet=quiet, tell=tell, log=log, thinking_limited=limited)
    progress.event(
        "run_started",
        tvmerge=__version__,
        study=paths.study.name,
        run_dir=str(paths.folder.absolute()),
        process=os.getpid(),
    )
    progress.note(title(config))
    return progress


def title(config: RunConfig) -> str:
    """Return what a run does, for readers who do not know tvmerge."""
    tuned = [str(table.get("tuned", "")) for table in config.task_vectors] or [str(config.tuned_model)]
    asked = _names(name for name, _ in config.benchmarks) or "the tasks"
    return (
        f"tvmerge searches how best to add what {_names(tuned)} learned to {_names(config.target_model)}: "
        f"merged models answer {asked}, their answers are rated, the best is written to "
        f"{config.model_folder}"
    )


def _names(references: Iterable[str]) -> str:
    """Return the last parts of folders or hub ids."""
    return ", ".join(re.split(r"[\\/]", reference.rstrip("\\/"))[-1] for reference in references)
