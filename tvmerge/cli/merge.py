"""`tvmerge merge`: write one merge, from weights given or from a study's trial."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import click

from tvmerge.cli.options import given, setting_options
from tvmerge.config import MergeConfig, file_settings
from tvmerge.run.write_model import CHAT, WRITING, Weights, write_model

BESIDE = (*CHAT, "shard_size", "save_experts")
"""Settings of a run's file that hold for any merge; an upload is asked for each time."""


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="TOML file with the settings of a run; flags win. Settings that do not concern the merge are "
    "ignored, "
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
    write_model(
        Weights(weight=weight, weights=weights, trial=trial, storage=storage, study_name=study_name),
        {**file_settings(config, BESIDE), **given(flags)},
        output_dir,
        config=config,
        overwrite=overwrite,
        remark=partial(click.echo, err=True),
        written=click.echo,
    )
