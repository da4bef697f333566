"""`tvmerge.merge`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from os import PathLike
from pathlib import Path
from typing import Any

from tvmerge.api.progress import Progress, progress_callback
from tvmerge.config import MergeConfig, RunConfig
from tvmerge.config.values import settings_for
from tvmerge.errors import ConfigError
from tvmerge.records import Recipe
from tvmerge.run.write_model import BESIDE, CHAT, WRITING, Weights, write_model

_MERGE = tuple(f.name for f in fields(MergeConfig))


def merge(
    output_dir: str | PathLike[str],
    *,
    config: RunConfig | None = None,
    weight: float | None = None,
    weights: Recipe | Mapping[str, float] | str | PathLike[str] | None = None,
    trial: int | str | None = None,
    run_dir: str | PathLike[str] | None = None,
    storage: str | None = None,
    study_name: str | None = None,
    overwrite: bool = False,
    progress: Progress = False,
    **settings: Any,
) -> Path:
    """Write target + weight * (tuned - base) as a model folder, without a search.

    Args:
        output_dir: Folder to write.
        config: The settings of a run; those of models and chat format are used. None: `settings` has them.
        weight: One weight for everything; pass this, `weights` or `trial`.
        weights: A weight for each name, such as `RunResult.recipe`, or a file of them such as `result.json`.
        trial: Number of a study's trial, `winner` (the default with a study) or `best-search`.
        run_dir: Run folder of that study, from which models and settings are read.
        storage: Storage of that study; None for the one in the run folder.
        study_name: Name of that study; None for the study of the run folder.
        overwrite: Replace the contents of the folder.
        progress: How notes on the models are shown, as for `optimize`.
        settings: Fields of `RunConfig` that concern models, chat format and how a model is written
            (`shard_size`, `save_experts`, `quantise`, `llama_cpp`, `push_to_hub`); they override those of
            `config`.

    Returns:
        The folder.

    Raises:
        TvmergeError: The models do not fit together, an argument is invalid, or the folder is not empty.

    Examples:
        >>> import tvmerge
        >>> tvmerge.merge("merged", config=tvmerge.testing.demo_config(), weight=0.75).name
        'merged'
        >>> tvmerge.merge("best", run_dir="runs/demo").name
        'best'
    """
    if (trial is not None or run_dir is not None) and config is not None:
        raise ConfigError("the settings of a trial's merge come from its study; leave config out")
    tell, folder = progress_callback(progress), Path(output_dir)
    given = {**({} if config is None else _of_run(config)), **_checked(settings)}
    run = None if run_dir is None else Path(run_dir)
    of_study = Weights(run_dir=run, storage=storage, study_name=study_name)
    number = None if trial is None else str(trial)
    chosen = replace(of_study, weight=weight, weights=_weights(weights), trial=number)
    write_model(chosen, given, folder, overwrite=overwrite, remark=tell, written=tell)
    return folder


def _weights(given: Recipe | Mapping[str, float] | str | PathLike[str] | None) -> Recipe | Path | None:
    if given is None or isinstance(given, Recipe):
        return given
    if isinstance(given, Mapping):
        return Recipe({name: float(value) for name, value in given.items()})
    return Path(given)


def _of_run(config: RunConfig) -> dict[str, Any]:
    """Return the settings of a run that concern a merge."""
    return {key: getattr(config, key) for key in (*_MERGE, *BESIDE)}


def _checked(settings: Mapping[str, Any]) -> dict[str, Any]:
    known = (*_MERGE, *CHAT, *WRITING)
    if other := [key for key in settings if key not in known]:
        raise ConfigError(f"{', '.join(other)}: not a setting of a merge; known: {', '.join(known)}")
    return settings_for(RunConfig, settings)
