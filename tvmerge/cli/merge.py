"""`tvmerge merge`: writes one merge, from given weights or from a study's trial."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from tvmerge.cli.lines import say
from tvmerge.cli.options import GroupedCommand, given, setting_options
from tvmerge.config import MergeConfig, RunConfig, file_settings
from tvmerge.config.values import settings_for
from tvmerge.run.write_model import BESIDE, CHAT, WRITING, Weights, write_model


@click.command(cls=GroupedCommand)
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
@click.option("--run-dir", type=click.Path(path_type=Path), help="Run folder whose trial to write.")
@click.option("--storage", help="Storage of the study whose trial to write; default: the one in --run-dir.")
@click.option("--study-name", help="Name of that study; default: the study of --run-dir.")
@click.option(
    "--trial",
    help="Number of the trial; `winner` (the default), which the held-out comparison named; or "
    "`best-search`, the best of the search.",
)
@click.option("--output-dir", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option("--overwrite", is_flag=True, help="Replace the contents of the output folder.")
@setting_options((*(f.name for f in fields(MergeConfig)), *CHAT, *WRITING))
def merge(
    *,
    config: Path | None,
    weight: float | None,
    weights: Path | None,
    run_dir: Path | None,
    storage: str | None,
    study_name: str | None,
    trial: str | None,
    output_dir: Path,
    overwrite: bool,
    **flags: Any,
) -> None:
    """Write target + weight * (tuned - base), without a search."""
    from tvmerge.report.terminal.progress import Progress

    chosen = Weights(
        weight=weight, weights=weights, trial=trial, run_dir=run_dir, storage=storage, study_name=study_name
    )
    lines: list[str] = []
    try:
        with Progress() as progress:
            write_model(
                chosen,
                settings_for(RunConfig, {**file_settings(config, BESIDE), **given(flags)}),
                output_dir,
                config=config,
                overwrite=overwrite,
                remark=progress.note,
                written=lines.append,
                phase=progress.phase,
            )
    finally:  # below the progress, and although a later step has failed
        for line in lines:
            say(line)
