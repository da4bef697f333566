"""`tvmerge merge`: write one merge, from weights given or from a study's trial."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from tvmerge.config import DTYPES, MODES, MergeConfig
from tvmerge.errors import ConfigError
from tvmerge.records import Recipe

MODELS = ("target_model", "base_model", "tuned_model")


@click.command()
@click.option("--target-model", help="Model the task vector is added to: a folder or a hub id[@revision].")
@click.option("--base-model", help="Model the tuned model was tuned from.")
@click.option("--tuned-model", help="Model that has the skill.")
@click.option("--optimize-mode", type=click.Choice(MODES), help="What shares a weight.  [default: layer]")
@click.option("--dtype", type=click.Choice(DTYPES), help="Type of the merged tensors; auto: the target's.")
@click.option("--weight", type=float, help="One weight for everything.")
@click.option(
    "--weights", type=click.Path(path_type=Path), help='JSON file: {"layers.0": 0.7, ...}, or a result.json.'
)
@click.option("--storage", help="Storage of a study whose trial is to be written.")
@click.option("--study-name", help="Name of that study.")
@click.option("--trial", help="Number of the trial, or `best`.")
@click.option("--output-dir", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option("--overwrite", is_flag=True, help="Replace whatever is in the output folder.")
@click.option("--cache-dir", help="Where models from the hub are downloaded to.")
@click.option("--allow-pickle", is_flag=True, default=None, help="Accept checkpoints without safetensors.")
@click.option("--trust-remote-code", is_flag=True, default=None, help="Run code that comes with a model.")
def merge(
    *,
    weight: float | None,
    weights: Path | None,
    storage: str | None,
    study_name: str | None,
    trial: str | None,
    output_dir: Path,
    overwrite: bool,
    **settings: Any,
) -> None:
    """Write target + weight * (tuned - base), without a search."""
    given = {key: value for key, value in settings.items() if value is not None}
    source = _choose(weight, weights, trial)
    if source == "--trial":
        config, recipe = _from_study(storage, study_name, str(trial), given)
    else:
        config, recipe = _from_flags(given), None
    from tvmerge.build import open_models
    from tvmerge.caches import Caches

    with closing(Caches()) as caches:
        models = open_models(config, caches)
        if recipe is None:
            recipe = _read_weights(weights) if weights is not None else _uniform(models.group_names, weight)
        models.write(output_dir, recipe, overwrite=overwrite)
    click.echo(f"model: {output_dir}")


def _choose(weight: float | None, weights: Path | None, trial: str | None) -> str:
    sources = {"--weight": weight, "--weights": weights, "--trial": trial}
    named = [flag for flag, value in sources.items() if value is not None]
    if len(named) != 1:
        raise ConfigError(f"give one of --weight, --weights or --trial; got {' and '.join(named) or 'none'}")
    return named[0]


def _from_flags(given: Mapping[str, Any]) -> MergeConfig:
    missing = [f"--{key.replace('_', '-')}" for key in MODELS if key not in given]
    if missing:
        raise ConfigError(f"missing: {', '.join(missing)}")
    return MergeConfig(**given)


def _from_study(
    storage: str | None, study_name: str | None, trial: str, given: Mapping[str, Any]
) -> tuple[MergeConfig, Recipe]:
    """The merge settings and the weights of a trial; both are in the study."""
    if storage is None or study_name is None:
        raise ConfigError("--trial needs --storage and --study-name")
    fixed = [f"--{key.replace('_', '-')}" for key in given if key in (*MODELS, "optimize_mode")]
    if fixed:
        raise ConfigError(f"{', '.join(fixed)} cannot be given with --trial: the study says it")
    from tvmerge.search.storage import read_study

    stored = read_study(storage, study_name)
    return MergeConfig(**{**stored.run, **given}), stored.recipe(trial)


def _read_weights(path: Path) -> Recipe:
    """Weights from a JSON object, or from the `weights` of a `result.json`."""
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON: {error}") from error
    if isinstance(data, dict) and isinstance(data.get("weights"), dict):
        data = data["weights"]
    if not isinstance(data, dict) or not all(type(value) in {int, float} for value in data.values()):
        raise ConfigError(f'{path}: must map names to numbers, such as {{"layers.0": 0.7}}')
    return Recipe({name: float(value) for name, value in data.items()})


def _uniform(names: Sequence[str], weight: float | None) -> Recipe:
    return Recipe(dict.fromkeys(names, float(weight or 0.0)))
