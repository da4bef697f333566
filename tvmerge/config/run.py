"""All settings of a run: those of each package, and where results are written."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from tvmerge._util.files import safe_name
from tvmerge._util.urls import hide_passwords, shown_url, sqlite_url
from tvmerge.config.values import settings_for
from tvmerge.engines.model_settings import ModelConfig
from tvmerge.engines.prompting.settings import ChatConfig
from tvmerge.engines.settings import AnswerConfig
from tvmerge.errors import ConfigError
from tvmerge.judging.settings import JudgeConfig
from tvmerge.merging.export.hub import check_repository
from tvmerge.merging.settings import MergeConfig
from tvmerge.option import Option, option, weighted
from tvmerge.study.location import StudyLocation
from tvmerge.study.settings import SearchConfig
from tvmerge.tasks.settings import SuiteConfig, TaskConfig


@dataclass(frozen=True, kw_only=True)
class RunConfig(SearchConfig, SuiteConfig, ModelConfig):
    """The settings of `tvmerge optimize`."""

    run_dir: str | None = option(
        str, "Folder for the run's results; default: runs/<study-name>.", None, decides="nothing"
    )
    output_dir: str | None = option(
        str, "Folder of the merged model; default: <run-dir>/model.", None, decides="nothing"
    )
    shard_size: float = option(
        float,
        "Maximum size of each file of the written model, in gigabytes.",
        5.0,
        decides="nothing",
        within=(10**-6, 10**6),
    )
    save_experts: bool = option(
        bool, "Also write a mixture's experts, as dense models.", False, decides="nothing"
    )
    quantise: tuple[str, ...] = option(
        str,
        "Also write the model as GGUF files of these types, such as q4_k_m,q8_0; a run scores its winner in "
        "each.",
        (),
        many=True,
        decides="nothing",
    )
    llama_cpp: str | None = option(
        str,
        "Folder with llama.cpp's programs; default: those of the Python environment or on the PATH.",
        None,
        decides="nothing",
    )
    push_to_hub: str | None = option(
        str, "Hub repository (owner/name) to upload the model to.", None, decides="nothing"
    )
    overwrite: bool = option(bool, "Replace whatever is in the output folder.", False, decides="nothing")
    no_judge_check: bool = option(
        bool, "Skip the test answer that each judge rates before models are loaded.", False, decides="nothing"
    )
    trace: str | None = option(
        str, "File for a trace of the run's stages, in Chrome's format.", None, decides="nothing"
    )
    log_file: str | None = option(
        str, "File that a JSON line for each event of the run is appended to.", None, decides="nothing"
    )
    grace: float = option(float, "Seconds to wait for paid judgments after Ctrl-C.", 30.0, decides="nothing")

    def __post_init__(self) -> None:
        for name, value in settings_for(RunConfig, vars(self)).items():
            object.__setattr__(self, name, value)
        for part in (ModelConfig, SuiteConfig, SearchConfig):
            part.__post_init__(self)
        _check_name("--study-name", self.study_name)
        _check_name("--fork", self.fork)
        if self.push_to_hub is not None:
            check_repository(self.push_to_hub)
        if not (self.bench_name or self.has_tasks or self.task_kinds):
            raise ConfigError("nothing to ask: set --bench-name, --tasks, --jglue-tasks or --jglue-data")
        if bool(self.task_vectors) == (self.tuned_model is not None):
            raise ConfigError("pass --tuned-model and --base-model, or [[task_vectors]] in the config file")
        if self.fork == self.parent_study:
            raise ConfigError(f"--fork {self.fork} is the study itself; give the new study another name")

    @property
    def shown(self) -> dict[str, Any]:
        """All settings as plain data, with passwords in URLs hidden."""
        plain = asdict(self)
        shown = {key: hide_passwords(v) if isinstance(v, str) else v for key, v in plain.items()}
        return shown | {"storage": shown_url(self.storage) if self.storage else self.storage}

    @property
    def fingerprint(self) -> dict[str, Any]:
        """The settings that scores or the sequence of candidates depend on, without unset ones."""
        values = {
            key: getattr(self, key)
            for key, (setting, _) in options().items()
            if setting.decides in {"scores", "candidates"}
        }
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in values.items()
            if value is not None and value != {}
        }

    @property
    def study(self) -> str:
        """The study's name."""
        return self.fork if self.fork is not None else self.parent_study

    @property
    def parent_study(self) -> str:
        """The name of the study that `fork` starts from; without a fork, the study's name."""
        if self.study_name is not None:
            return self.study_name
        tasks = (weighted(name) for name in (*self.tasks, *self.jglue_tasks))
        asked = "-".join(_last_part(name) for name, _ in (*self.benchmarks, *tasks)) or "jglue"
        return safe_name(f"{_last_part(self.target_model[0])}-{asked}")

    @property
    def run_folder(self) -> Path:
        """The folder of the run's results; that of a fork is next to its parent's."""
        parent = self._parent_folder
        return parent if self.fork is None else parent.parent / safe_name(self.fork)

    @property
    def _parent_folder(self) -> Path:
        if self.run_dir is not None:
            return Path(self.run_dir)
        return Path("runs") / safe_name(self.parent_study)

    @property
    def storage_url(self) -> str:
        """The URL of the study's storage."""
        return self.storage if self.storage is not None else sqlite_url(self.run_folder / "study.db")

    @property
    def parent_storage_url(self) -> str:
        """The URL of the storage of the study that `fork` starts from."""
        return self.storage if self.storage is not None else sqlite_url(self._parent_folder / "study.db")

    @property
    def study_location(self) -> StudyLocation:
        """The name and storage of the study and of its parent."""
        return StudyLocation(self.study, self.storage_url, self.parent_study, self.parent_storage_url)

    @property
    def model_folder(self) -> Path:
        """The folder to which the best model is written."""
        return Path(self.output_dir) if self.output_dir is not None else self.run_folder / "model"


def options() -> dict[str, tuple[Option, Any]]:
    """Return every setting's declaration and default (or `MISSING`), by key."""
    return {f.name: (f.metadata["option"], f.default) for f in fields(RunConfig)}


def groups() -> dict[str, tuple[str, ...]]:
    """Return the keys of all settings by the title of their group."""
    known = options()
    return {
        title: tuple(key for key in vars(kind)["__annotations__"] if key in known)
        for title, kind in _GROUPS.items()
    }


_LONGEST_NAME = 512
"""Characters of a study's name in Optuna's tables."""

_GROUPS: dict[str, type] = {
    "Models and merging": MergeConfig,
    "Search": SearchConfig,
    "Benchmarks and judges": JudgeConfig,
    "Tasks": TaskConfig,
    "Chat format": ChatConfig,
    "Answers and engines": AnswerConfig,
    "Results": RunConfig,
}


def _check_name(flag: str, name: str | None) -> None:
    """Check that a study's name can be told from others where it is printed, and stored in every database."""
    if name is None:
        return
    if not name or name != name.strip():
        raise ConfigError(f"{flag} must be a name without blanks at its ends, got {name!r}")
    if not name.isprintable():
        raise ConfigError(f"{flag} must not contain control characters, got {name!r}")
    if len(name) > _LONGEST_NAME:
        raise ConfigError(f"{flag} must have at most {_LONGEST_NAME} characters, got {len(name)}")


def _last_part(reference: str) -> str:
    return re.split(r"[\\/]", reference.rstrip("\\/").split("@")[0])[-1] or "model"
