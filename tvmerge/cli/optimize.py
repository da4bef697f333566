"""`tvmerge optimize` and `tvmerge demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tvmerge._util.whole_imports import whole_imports
from tvmerge.cli.ending import resumable
from tvmerge.cli.lines import say
from tvmerge.cli.options import GroupedCommand, given, run_options
from tvmerge.cli.spending import ASKS_FROM, agree_on_cost
from tvmerge.config import load_config
from tvmerge.config.demo import demo_defaults
from tvmerge.errors import CheckpointError, OutputError

if TYPE_CHECKING:
    from tvmerge.config import RunConfig
    from tvmerge.report.run_result import RunResult
    from tvmerge.report.terminal.progress import Progress

_quiet = click.option(
    "--quiet", "-q", is_flag=True, help="Show no progress: print only errors and the final result."
)

_dry_run = click.option(
    "--dry-run",
    is_flag=True,
    help="Print what the run would do and cost, without loading, requesting or writing anything.",
)

_yes = click.option(
    "--yes",
    is_flag=True,
    help=f"Start although the judges may cost more than {ASKS_FROM:g} USD and no --max-cost is set.",
)


@click.command(cls=GroupedCommand)
@_dry_run
@_yes
@_quiet
@run_options()
def optimize(config: Path | None, *, dry_run: bool, yes: bool, quiet: bool, **flags: Any) -> None:
    """Search the weights, confirm the best on held-out questions, write the merged model."""
    ready = load_config(given(flags), config)
    _plan(ready) if dry_run else _run(ready, yes=yes, quiet=quiet)


@click.command(cls=GroupedCommand)
@_dry_run
@_yes
@_quiet
@run_options(demo_defaults())
def demo(config: Path | None, *, dry_run: bool, yes: bool, quiet: bool, **flags: Any) -> None:
    """Run `optimize` on the models and questions that ship with tvmerge: no GPU, no key, no download."""
    ready = load_config(given(flags), config, demo_defaults())
    _plan(ready) if dry_run else _run(ready, yes=yes, quiet=quiet)


def _run(config: RunConfig, *, yes: bool, quiet: bool) -> None:
    from tvmerge.run.progress import progress_of

    progress = progress_of(config, quiet=quiet)
    if not yes:
        agree_on_cost(config, quiet=quiet)
    try:
        result = _searched(config, progress)
    except OutputError as error:
        _show(error.result)
        raise
    _show(result)
    say(f"report: {config.run_folder / 'report.html'}")
    say(f"model: {result.output}")
    if progress.lost:
        say(progress.lost)


def _searched(config: RunConfig, progress: Progress) -> RunResult:
    """Run, showing at once that it has begun: importing torch alone takes seconds."""
    import asyncio

    with progress:
        progress.phase("importing torch")
        with whole_imports():
            from tvmerge.run.optimize import optimize as run_optimize

        with resumable():
            return asyncio.run(run_optimize(config, progress))


def _plan(config: RunConfig) -> None:
    import asyncio

    from rich.console import Console

    from tvmerge.report.terminal.progress import Progress

    with Progress() as progress:
        progress.phase("importing torch")
        with whole_imports():
            from tvmerge.dry_run.calls import calls_table
            from tvmerge.dry_run.plan import plan_run
            from tvmerge.dry_run.text import closing_lines, plan_lines

        progress.phase("planning the run")
        plan = asyncio.run(plan_run(config, progress.note))
    for line in plan_lines(plan):
        say(line)
    if plan.calls:
        Console().print(calls_table(plan.calls))
    for line in closing_lines(plan):
        say(line)
    if plan.refusals:
        raise CheckpointError("; ".join(plan.refusals))


def _show(result: Any) -> None:
    from rich.console import Console

    from tvmerge.report.terminal.race import race_lines
    from tvmerge.report.terminal.table import result_table
    from tvmerge.report.terminal.usage import usage_lines

    console = Console()
    console.print(result_table(result))
    for line in (*race_lines(result), *usage_lines(result.usage, result.agreement)):
        say(line)
