"""Settings from flags, a TOML file and defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from tvmerge._util.encodings import read_text
from tvmerge._util.parsing import parse_toml
from tvmerge._util.suggest import unknown_names
from tvmerge.config.run import RunConfig, options
from tvmerge.config.values import checked, settings_for
from tvmerge.engines.model_settings import ModelConfig
from tvmerge.errors import ConfigError
from tvmerge.merging.settings import MergeConfig


def load_config(
    flags: Mapping[str, Any], file: Path | None = None, defaults: Mapping[str, Any] | None = None
) -> RunConfig:
    """Load settings from flags, a TOML file and defaults, in this order of precedence.

    Args:
        flags: Values given on the command line; None if not given.
        file: A `run.toml` with the same keys.
        defaults: Values that replace defaults of `RunConfig`.

    Raises:
        ConfigError: A key is unknown or missing, or a value has the wrong type or range.
    """
    settings = dict(defaults or {})
    if file is not None:
        settings |= _read_toml(file)
    settings |= {key: value for key, value in flags.items() if value is not None}
    _refuse_missing([key for key, (_, default) in options().items() if default is MISSING], settings)
    if settings.get("judge_anchor") is not None and "judge" not in settings:
        raise ConfigError("--judge-anchor rates a sample only; name the judge that rates everything: --judge")
    return RunConfig(**settings)


def load_merge_config(flags: Mapping[str, Any], file: Path | None = None) -> MergeConfig:
    """Load the settings of merging from flags and a run's TOML file; flags take precedence.

    Raises:
        ConfigError: A key is unknown or missing, or a value has the wrong type.
    """
    known = {f.name for f in fields(MergeConfig)}
    settings = {} if file is None else {k: v for k, v in _read_toml(file).items() if k in known}
    settings |= flags
    _refuse_missing(("target_model",), settings)
    return MergeConfig(**settings_for(MergeConfig, settings))


def load_check_config(flags: Mapping[str, Any], file: Path | None = None) -> ModelConfig:
    """Load the settings of models from flags and a run's TOML file; flags take precedence.

    Raises:
        ConfigError: A key is unknown or missing, or a value has the wrong type or range.
    """
    settings = {**file_settings(file, [f.name for f in fields(ModelConfig)]), **flags}
    _refuse_missing(("target_model",), settings)
    return ModelConfig(**settings_for(ModelConfig, settings))


def file_settings(file: Path | None, keys: Sequence[str]) -> dict[str, Any]:
    """Return the settings in a TOML file that are among `keys`.

    Raises:
        ConfigError: The file cannot be read, or has an unknown key or an invalid value.
    """
    if file is None:
        return {}
    return {key: value for key, value in _read_toml(file).items() if key in keys}


def _refuse_missing(needed: Sequence[str], settings: Mapping[str, Any]) -> None:
    if "task_vectors" not in settings:
        needed = (*needed, "tuned_model")  # an adapter's files name its base
    missing = [f"--{key.replace('_', '-')}" for key in needed if key not in settings]
    if missing:
        named = ", ".join(missing)
        raise ConfigError(f"missing: {named} (as a flag, or as a key of the file given with --config)")


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        data = parse_toml(read_text(file, error=ConfigError))
    except ValueError as error:
        raise ConfigError(f"{file}: not valid TOML: {error}") from error
    known = options()
    normal = {key.replace("-", "_"): value for key, value in data.items()}
    unknown = [key for key in normal if key not in known]
    if unknown:
        raise ConfigError(f"{file}: unknown key {unknown_names(unknown, known)}; known: {', '.join(known)}")
    return {key: checked(key, value, known[key][0], f"{file}: ") for key, value in normal.items()}
