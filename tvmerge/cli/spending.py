"""Asks before a run whose judges may cost much and whose cost is not limited."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from tvmerge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tvmerge.config import RunConfig
    from tvmerge.dry_run.calls import PlannedCalls

ASKS_FROM = 20.0
"""Cost in USD above which a run without a limit has to be agreed to."""


def agree_on_cost(config: RunConfig, *, quiet: bool = False) -> None:
    """Ask whether to start a run that may cost more than `ASKS_FROM` USD, if `--max-cost` does not limit it.

    What a study has cost before it is resumed does not count.

    Args:
        config: The run's settings.
        quiet: Whether not to show that the cost is being counted.

    Raises:
        ConfigError: The answer is no, or there is no terminal to ask at.
        UserError: The run would fail at its start.
    """
    if config.max_cost is not None or not _is_paid(config):
        return
    import asyncio

    from tvmerge.report.terminal.progress import Progress

    with Progress(quiet=quiet) as progress:
        progress.phase("counting what the judges may cost")
        from tvmerge.dry_run.plan import plan_run
        from tvmerge.judging.client.ledger import read_ledger
        from tvmerge.run.paths import LEDGER

        plan = asyncio.run(plan_run(config, lambda line: None))
    made = read_ledger(config.run_folder / LEDGER).requests if config.max_judge_calls is not None else 0
    costs = high_cost(plan.calls, config.max_judge_calls, made=made, resumes=bool(plan.asked))
    if not costs:
        return
    advice = "set one with --max-cost, or start with --yes; --dry-run shows the details"
    if not sys.stdin.isatty():
        raise ConfigError(f"{costs}: {advice}")
    if not click.confirm(f"{costs} (--max-cost). Start?", err=True):
        raise ConfigError(f"not started: {advice}")


def high_cost(
    calls: Sequence[PlannedCalls], max_calls: int | None, *, made: int = 0, resumes: bool = False
) -> str:
    """Return what a run may cost if that is more than `ASKS_FROM`, as the start of a sentence; else nothing.

    Args:
        calls: The calls that are still to come.
        max_calls: `--max-judge-calls`, which bounds what they cost; None for no limit.
        made: How many of these calls the study has made already.
        resumes: Whether a study is continued, which has cost something already.
    """
    from tvmerge.dry_run.calls import likely_of, most_of

    # Of a panel, a judge without a price does not make the others cheaper.
    priced = [row for row in calls if row.most.cost is not None]
    usual, highest = likely_of(priced).cost or 0.0, most_of(priced).cost or 0.0
    within = ""
    if max_calls is not None:
        bound = max(0, max_calls - made) * max((row.dearest or 0.0 for row in priced), default=0.0)
        if bound < highest:
            usual, highest = min(usual, bound), bound
            within = f" within --max-judge-calls {max_calls:,}"
    if highest <= ASKS_FROM:
        return ""
    besides = "" if len(priced) == len(calls) else " (without those whose price is unknown)"
    more = "another " if resumes else ""
    return (
        f"the judges likely cost {more}{usual:,.2f} USD, at most {highest:,.2f}{within}{besides}, and no "
        "limit on the cost is set"
    )


def _is_paid(config: RunConfig) -> bool:
    """Return whether a judge of the run has a price, and is not a server on this machine."""
    if not config.bench_name:
        return False
    from pathlib import Path

    from tvmerge.judging.client.ledger import Prices
    from tvmerge.judging.client.pipeline import prices_of
    from tvmerge.judging.registry import find_spec
    from tvmerge.judging.spec import is_loopback

    assets = None if config.assets is None else Path(config.assets)
    names = (*config.judge, *(() if config.anchor is None else config.anchor[:1]))
    specs = [find_spec(name, assets=assets) for name in names]
    return any(
        prices_of(spec) not in {None, Prices(0.0, 0.0)}
        for spec in specs
        if not is_loopback(config.judge_base_url or spec.endpoint)
    )
