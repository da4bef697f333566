"""The files and folders of a run, resolved once from its settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from tvmerge._util.caches import cache_folder
from tvmerge._util.files import remove_leftovers
from tvmerge._util.locking import locked
from tvmerge._util.outputs import check_file, check_folder, check_new_folder
from tvmerge._util.real_path import real_path
from tvmerge._util.trace import check_is_trace
from tvmerge.errors import ConfigError, StudyError
from tvmerge.merging.export.folders import check_precious, experts_folder
from tvmerge.report.result_file import RESULT, TRIALS
from tvmerge.report.terminal.event_log import EventLog
from tvmerge.run.run_folder import MARK, marked_study, runs_within
from tvmerge.study.location import StudyLocation
from tvmerge.study.lock import study_lock
from tvmerge.study.storage_url import sqlite_file
from tvmerge.tasks.fastchat.question_file import QUESTIONS

if TYPE_CHECKING:
    from tvmerge.config import RunConfig

LEDGER = "ledger.jsonl"
"""Name of the file of the judges' requests in the run folder."""

_FOLDERS = ("model_answer", "model_judgment", "holdout/model_answer", "holdout/model_judgment")


@dataclass(frozen=True, slots=True)
class RunPaths:
    """The files and folders of a run.

    Attributes:
        folder: The run folder.
        model: The folder of the merged model.
        study: The study's name and storage.
        trace: The file of the trace; None if none is written.
        log: The file of the event log; None if none is written.
        experts: The folder of a mixture's experts; None if none are written.
    """

    folder: Path
    model: Path
    study: StudyLocation
    trace: Path | None
    log: Path | None = None
    experts: Path | None = None

    @classmethod
    def of(cls, config: RunConfig) -> RunPaths:
        """Return the files and folders that the settings name."""
        trace = None if config.trace is None else Path(config.trace)
        log = None if config.log_file is None else Path(config.log_file)
        model = config.model_folder
        experts = experts_folder(model) if config.save_experts else None
        return cls(config.run_folder, model, config.study_location, trace, log, experts)

    @property
    def holdout(self) -> Path:
        """The folder of the answers to the held-out questions."""
        return self.folder / "holdout"

    @property
    def ledger(self) -> Path:
        """The file of the judge's requests and their cost."""
        return self.folder / LEDGER

    @property
    def trials(self) -> Path:
        """The file of the trials."""
        return self.folder / TRIALS

    @property
    def result(self) -> Path:
        """The file of the result."""
        return self.folder / RESULT

    @property
    def questions(self) -> Path:
        """The file of the questions, for reports that are made later."""
        return self.folder / QUESTIONS

    @property
    def report(self) -> Path:
        """The report, an HTML page."""
        return self.folder / "report.html"

    @property
    def mark(self) -> Path:
        """The file that names the study that the run folder belongs to."""
        return self.folder / MARK

    def event_log(self) -> EventLog | None:
        """Return the log of the run's events; None if none is written.

        Raises:
            ConfigError: It cannot be written, is not such a log, or is a file that the run writes itself.
        """
        if self.log is None:
            return None
        self._check_apart("--log-file", self.log)
        return EventLog(self.log)

    def _check_apart(self, flag: str, file: Path) -> None:
        """Check that a file that the user named is none that the run writes itself."""
        study = sqlite_file(self.study.storage)
        own = [self.ledger, self.questions, self.trials, self.result, self.report, self.mark]
        others = [*own, study, *(path for path in (self.trace, self.log) if path is not file)]
        place = real_path(file)
        if place in {real_path(path) for path in others if path is not None}:
            raise ConfigError(f"{flag} {file} is a file that the run writes itself; name another file")
        if place.is_relative_to(real_path(self.model)):
            raise ConfigError(
                f"{flag} {file} is in the folder of the merged model, which is replaced as a whole; name "
                "another place"
            )

    def check_writable(self) -> None:
        """Check that the run can write all of its outputs, without creating anything.

        Whether the model may replace the contents of its folder, and whether it fits, is checked once the
        models are open (`tvmerge.merging`).

        Raises:
            ConfigError: A folder or file cannot be written, or is not of a run, or the disk is too full.
        """
        check_folder(self.folder, "the run folder")
        self._check_own()
        for name in _FOLDERS:
            check_folder(self.folder / name, "the run's folder")
        for file in (self.ledger, self.questions, self.trials, self.result, self.report):
            check_file(file, "the run's file")
        for what, folder in self._outputs():
            check_new_folder(folder, what)
        if self.trace is not None:
            self._check_apart("--trace", self.trace)
            check_file(self.trace, "--trace")
            check_is_trace(self.trace)
        if self.log is not None:
            self._check_apart("--log-file", self.log)
            check_file(self.log, "--log-file")

    def _check_own(self) -> None:
        """Check that nothing in the folder that the run would replace, or add to, is from somewhere else.

        A run marks its folder before it writes any of this.
        """
        if marked_study(self.folder) is not None:
            return
        folders = [self.folder / name for name in _FOLDERS]
        files = (self.questions, self.trials, self.result, self.report)
        others = [file for file in files if not file.is_dir()]  # a folder has an error of its own
        others += [path for folder in folders if folder.is_dir() for path in folder.glob("[!.]*")]
        if found := next((path for path in others if path.exists()), None):
            raise ConfigError(
                f"{self.folder} is not a run folder and has {found.relative_to(self.folder)}, which the run "
                "would replace; choose another --run-dir"
            )

    @contextmanager
    def held(self) -> Iterator[Callable[[], None]]:
        """Check that the run can write all of its outputs, then lock the run folder and the study.

        Yields:
            A check that the study is still locked; see `study_lock`.

        Raises:
            ConfigError: See `check_writable`.
            StudyError: Another process has locked one of them, or the folder belongs to another study.
        """
        self.check_writable()
        study = self.study.name
        with locked(self.folder), study_lock(self.study.storage, study) as still_held:
            if (owner := marked_study(self.folder)) not in {None, study}:
                raise StudyError(f"{self.folder} holds the study '{owner}'; choose another --run-dir")
            self._tidy()
            yield still_held

    def _tidy(self) -> None:
        """Remove what killed runs left in the locked run folder.

        Raises:
            StudyError: The folder cannot be changed.
        """
        try:
            for name in ("", *_FOLDERS):
                remove_leftovers(self.folder / name)
        except OSError as error:
            raise StudyError(f"{error.filename} cannot be removed: {error.strerror}") from error

    def protect(self, benchmarks: Sequence[Path]) -> None:
        """Raise if a folder of the merged model contains something that must not be overwritten.

        Args:
            benchmarks: The folders of the benchmarks.

        Raises:
            ConfigError: One contains this or another run, the study, the questions, the cache or the working
                directory.
        """
        study = sqlite_file(self.study.storage)
        precious = [
            ("the run folder", self.folder),
            *(("the benchmark", folder) for folder in benchmarks),
            ("tvmerge's cache", cache_folder()),
            ("the working directory", Path.cwd()),
            *([] if study is None else [("the study", study)]),
        ]
        for what, folder in self._outputs():
            runs = (("the results of another run", run) for run in runs_within(folder))
            check_precious(folder, chain(precious, runs), what)

    def _outputs(self) -> Iterator[tuple[str, Path]]:
        """Yield the folders that are replaced as a whole, by what they are called."""
        yield "--output-dir", self.model
        if self.experts is not None:
            yield "the folder of --save-experts,", self.experts
