"""`tvmerge optimize` and `tvmerge demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tvmerge.cli.options import given, run_options


@click.command()
@run_options
def optimize(config: Path | None, **flags: Any) -> None:
    """Search the weights, confirm the best on held-out questions, write the merged model."""
    _run(config, flags, {})


@click.command()
@run_options
def demo(config: Path | None, **flags: Any) -> None:
    """Run `optimize` on the models and questions that ship with tvmerge: no GPU, no key, no download."""
    from tvmerge.demo import demo_defaults

    _run(config, flags, demo_defaults())


def _run(file: Path | None, flags: dict[str, Any], defaults: dict[str, Any]) -> None:
    import asyncio

    from tvmerge.config import load_config
    from tvmerge.run import optimize as run_optimize

    config = load_config(given(flags), file, defaults)
    result = asyncio.run(run_optimize(config))
    _show(result, config.run_folder)


def _show(result: Any, folder: Path) -> None:
    from rich.console import Console

    from tvmerge.report.race import race_lines
    from tvmerge.report.table import result_table
    from tvmerge.report.usage import usage_lines

    console = Console()
    console.print(result_table(result))
    for line in (*race_lines(result), *usage_lines(result.usage, result.agreement)):
        console.print(line, highlight=False, soft_wrap=True)
    console.print(f"report: {folder / 'report.html'}", highlight=False, soft_wrap=True)
    console.print(f"model: {result.output}", highlight=False, soft_wrap=True)
