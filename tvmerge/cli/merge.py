"""`tvmerge merge`: write one merge, from weights given or from a study's trial."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tvmerge._util.encodings import read_text
from tvmerge.cli.options import given as given_flags
from tvmerge.cli.options import setting_options
from tvmerge.config import ChatConfig, MergeConfig, file_settings, load_merge_config
from tvmerge.errors import ConfigError, StudyError
from tvmerge.records import Recipe
from tvmerge.study.space import is_density

if TYPE_CHECKING:
    from tvmerge.engines.prompting.open import ChatRecord
    from tvmerge.merging.open import Merge

ELSEWHERE = ("dtype", "cache_dir", "allow_pickle", "trust_remote_code")
"""Merge settings that may differ from those of the study whose trial is written."""


WRITING = ("shard_size", "save_experts", "push_to_hub")
"""Settings that decide how a model is written."""

CHAT = ("chat_template", "chat_template_kwargs", "stop_token")
"""Settings of chats, which go into a model's files."""

BESIDE = (*CHAT, "shard_size", "save_experts")
"""Settings of a run's file that hold for any merge; an upload is asked for each time."""


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="TOML file with the settings of a run; flags win. What is not about a merge is passed over, "
    "and so is push_to_hub.",
)
@click.option("--weight", type=float, help="One weight for everything.")
@click.option(
    "--weights", type=click.Path(path_type=Path), help='JSON file: {"layers.0": 0.7, ...}, or a result.json.'
)
@click.option("--storage", help="Storage of a study whose trial is to be written.")
@click.option("--study-name", help="Name of that study.")
@click.option("--trial", help="Number of the trial, or `best`.")
@click.option("--output-dir", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option("--overwrite", is_flag=True, help="Replace whatever is in the output folder.")
@setting_options((*(f.name for f in fields(MergeConfig)), *CHAT, *WRITING))
def merge(
    *,
    config: Path | None,
    weight: float | None,
    weights: Path | None,
    storage: str | None,
    study_name: str | None,
    trial: str | None,
    output_dir: Path,
    overwrite: bool,
    **flags: Any,
) -> None:
    """Write target + weight * (tuned - base), without a search."""
    given = {**file_settings(config, BESIDE), **given_flags(flags)}
    written = {key: given.pop(key) for key in WRITING if key in given}
    chat: ChatConfig | Mapping[str, Any]
    if _choose(weight, weights, trial) == "--trial":
        settings, recipe, fingerprint, chat = _from_study(storage, study_name, str(trial), given)
    else:
        chat = ChatConfig(**{key: given.pop(key) for key in CHAT if key in given})
        settings, recipe, fingerprint = load_merge_config(given, config), None, {}
    from tvmerge._util.caches import Caches
    from tvmerge.merging.build import open_models
    from tvmerge.merging.export.card import CardFacts
    from tvmerge.merging.export.export import export_merge
    from tvmerge.merging.remarks import LISTING

    with closing(Caches()) as caches:
        models = open_models(settings, caches)
        _check_sources(models.fingerprint, fingerprint)
        for remark in models.remarks():
            click.echo(remark.line(output_dir / LISTING), err=True)
        record = _record(chat, models)
        if recipe is None:
            recipe = _read_weights(weights) if weights is not None else _uniform(models.group_names, weight)
        for line in export_merge(
            models,
            output_dir,
            recipe,
            facts=CardFacts(notes=record.notes, settings=record.settings),
            overwrite=overwrite,
            files=record.files,
            **written,
        ):
            click.echo(line)


def _choose(weight: float | None, weights: Path | None, trial: str | None) -> str:
    sources = {"--weight": weight, "--weights": weights, "--trial": trial}
    named = [flag for flag, value in sources.items() if value is not None]
    if len(named) != 1:
        raise ConfigError(f"give one of --weight, --weights or --trial; got {' and '.join(named) or 'none'}")
    return named[0]


def _record(chat: ChatConfig | Mapping[str, Any], models: Merge) -> ChatRecord:
    """How chats are written and end: as a study stored it, or by these settings."""
    from tvmerge.engines.prompting.open import ChatRecord, chat_of_merge

    if not isinstance(chat, ChatConfig):
        record = ChatRecord.from_json(chat)
        lines = record.stops.lines if record.stops.tokens else ()
    else:
        record, lines = chat_of_merge(chat, models)
    for line in lines:
        click.echo(line, err=True)
    return record


def _from_study(
    storage: str | None, study_name: str | None, trial: str, given: Mapping[str, Any]
) -> tuple[MergeConfig, Recipe, Mapping[str, Any], Mapping[str, Any]]:
    """The merge settings, a trial's weights, what the models were and how chats were held, from the study."""
    if storage is None or study_name is None:
        raise ConfigError("--trial needs --storage and --study-name")
    fixed = [f"--{key.replace('_', '-')}" for key in given if key not in ELSEWHERE]
    if fixed:
        raise ConfigError(f"{', '.join(fixed)} cannot be given with --trial: the study says it")
    from tvmerge.study.storage import read_study

    stored = read_study(storage, study_name)
    run = dict(stored.run)
    chat = {"texts": run.pop("texts", {}), **run.pop("chat", {})}
    return MergeConfig(**{**run, **given}), stored.recipe(trial), stored.fingerprint, chat


def _check_sources(found: Mapping[str, str], expected: Mapping[str, Any]) -> None:
    """A trial's weights mean nothing on other models than those it was scored with."""
    changed = [key for key, value in found.items() if key != "dtype" and expected.get(key, value) != value]
    if changed:
        raise StudyError(
            f"{', '.join(changed)} changed since the study was run; bring back the models it was run with"
        )


def _read_weights(path: Path) -> Recipe:
    """Weights from a JSON object, or from the `weights` of a `result.json`."""
    try:
        data = json.loads(read_text(path, error=ConfigError))
    except ValueError as error:
        raise ConfigError(f"{path}: cannot be read as JSON: {error}") from error
    if isinstance(data, dict) and isinstance(data.get("weights"), dict):
        data = data["weights"]
    if not isinstance(data, dict) or not all(type(value) in {int, float} for value in data.values()):
        raise ConfigError(f'{path}: must map names to numbers, such as {{"layers.0": 0.7}}')
    return Recipe({name: float(value) for name, value in data.items()})


def _uniform(names: Sequence[str], weight: float | None) -> Recipe:
    """One weight for every group; a density keeps everything."""
    return Recipe({name: 1.0 if is_density(name) else float(weight or 0.0) for name in names})
