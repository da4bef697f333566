"""From a judge that a caller brings along to a task suite."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tvmerge.judging.client.ledger import Ledger
from tvmerge.judging.judges.own import OwnJudge, UnaskedJudge, check_judge, check_settings, scale_of
from tvmerge.tasks.base import Note
from tvmerge.tasks.fastchat.combined import combine
from tvmerge.tasks.judged import parts_of, watch_script
from tvmerge.tasks.seen import seen_benchmarks
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
    """The suite of benchmarks that a caller's own judge rates.

    Args:
        judge: The judge.
        config: What is judged.
        caches: Where its ratings are kept.
        note: Tells the user something in passing.
        ledger_file: Where calls of judges are entered; a judge of one's own makes none that are known.
        asked: Whether the judge is asked at all; a plan asks nobody.

    Raises:
        UserError: The judge does not say what decides its ratings, a setting is for other judges, or the
            benchmark is missing or unsound.
    """
    check_judge(judge)
    check_settings(config)
    wrapped = (OwnJudge if asked else UnaskedJudge)(judge, caches.judgments, parallel=config.parallel or 1)
    assets = None if config.assets is None else Path(config.assets)
    benchmarks = seen_benchmarks(config, judge.name, assets, note)
    benchmark, scale = combine(benchmarks), scale_of(judge)
    return TaskSuite(
        benchmark=benchmark,
        parts=parts_of(benchmarks, [weight for _, weight in config.benchmarks], scale),
        folders=tuple(found.folder for found in benchmarks),
        specs=(),
        rater=watch_script(wrapped, config, benchmark, scale[0]),
        ledger=Ledger(ledger_file),
    )
