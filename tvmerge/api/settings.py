"""Makes the settings of a run from a caller's arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from tvmerge.config import RunConfig
from tvmerge.config import load_config as read_config
from tvmerge.config.values import settings_for


def load_config(path: str | PathLike[str], **settings: Any) -> RunConfig:
    """Read the settings of a run from a TOML file, as `tvmerge optimize --config` does.

    Args:
        path: The file; its keys are the fields of `RunConfig`.
        settings: Fields of `RunConfig` that override those of the file.

    Raises:
        TvmergeError: The file cannot be read, a key is unknown or missing, or a value is invalid.

    Examples:
        >>> import tvmerge
        >>> config = tvmerge.load_config("run.toml", n_trials=20)
        >>> config.n_trials, config.bench_name
        (20, ('demo',))
    """
    return read_config(settings_for(RunConfig, settings), Path(path))


def run_config(config: RunConfig | None, settings: Mapping[str, Any]) -> RunConfig:
    """Return the settings of a run: `config`, if given, with its fields overridden by `settings`.

    Raises:
        ConfigError: A key is unknown or missing, or a value is invalid.
    """
    checked = settings_for(RunConfig, settings)
    return read_config(checked) if config is None else replace(config, **checked)
