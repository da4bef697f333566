"""`tvmerge check`: whether models fit together."""

from __future__ import annotations

from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from tvmerge._util.whole_imports import whole_imports
from tvmerge.cli.lines import say
from tvmerge.cli.options import GroupedCommand, given, setting_options
from tvmerge.config import ChatConfig, MergeConfig, load_check_config

PLACES = ("engine", "tensor_parallel", "engines", "devices", "device")
"""Settings that affect how much memory a model needs on this machine."""


@click.command(cls=GroupedCommand)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="TOML file with the settings of a run; flags win. Settings that do not concern models are ignored.",
)
@click.option("--verify", is_flag=True, help="Also read every weight and reject NaN and infinities.")
@click.option("--names", is_flag=True, help="List every tensor that gets no weight, not just the first ones.")
@setting_options((*(f.name for part in (MergeConfig, ChatConfig) for f in fields(part)), *PLACES))
@click.pass_context
def check(context: click.Context, /, *, config: Path | None, verify: bool, names: bool, **flags: Any) -> None:
    """Check whether models fit together, and show what would be merged, copied and skipped; load nothing.

    Exit with 0 if a run could start, with 2 otherwise.
    """
    from tvmerge._util.caches import Caches

    with whole_imports():
        from tvmerge.dry_run.check import check_models

    settings = load_check_config(given(flags), config)
    with closing(Caches()) as caches:
        found = check_models(settings, caches, verify=verify, names=names)
    for section in found.sections:
        say(section.title)
        for line in section.lines:
            say(f"  {line}")
    for problem in found.problems:
        say(f"error: {problem}", err=True)
    if found.problems:
        context.exit(2)
