"""Builds a task suite with a judge object passed by the caller."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tvmerge.judging.client.ledger import Ledger
from tvmerge.judging.judges.own import OwnJudge, UnaskedJudge, check_judge, check_settings, scale_of
from tvmerge.tasks.base import Note
from tvmerge.tasks.fastchat.combined import combine
from tvmerge.tasks.judged import parts_of, watch_script
from tvmerge.tasks.judged_benchmarks import judged_benchmarks
from tvmerge.tasks.suite import TaskSuite

if TYPE_CHECKING:
    from tvmerge._util.caches import Caches
    from tvmerge.judging.settings import JudgeConfig
    from tvmerge.protocols import Judge


def suite_of_own_judge(
    judge: Judge,
    config: JudgeConfig,
    caches: Caches,
    note: Note,
    ledger_file: Path | None = None,
    *,
    asked: bool = True,
) -> TaskSuite:
    """Build the suite of benchmarks that a caller's own judge rates.

    Args:
        judge: The judge.
        config: The settings of benchmarks and judges.
        caches: Store its ratings.
        note: Shows the user a note.
        ledger_file: File that records judges' calls; those of the caller's judge are unknown.
        asked: Whether the judge is asked, which it is not in a dry run.

    Raises:
        UserError: The judge has no fingerprint, a setting does not apply to it, it is to compare and cannot,
            or the benchmark is missing or invalid.
    """
    check_judge(judge)
    check_settings(config)
    compares = config.judge_mode == "pairwise"
    wrapped = (OwnJudge if asked else UnaskedJudge)(
        judge, caches.judgments, parallel=config.parallel or 1, compares=compares
    )
    assets = None if config.assets is None else Path(config.assets)
    benchmarks = judged_benchmarks(config, judge.name, assets, note)
    benchmark, scale = combine(benchmarks), scale_of(judge, compares=compares)
    return TaskSuite(
        benchmark=benchmark,
        parts=parts_of(benchmarks, [weight for _, weight in config.benchmarks], scale),
        folders=tuple(found.folder for found in benchmarks),
        specs=(),
        rater=watch_script(wrapped, config, benchmark, scale[0]),
        ledger=Ledger(ledger_file),
        compares=compares,
    )
