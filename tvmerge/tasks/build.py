"""Builds the task suite from the settings: benchmarks with their judges, tasks, or both."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tvmerge.judging.client.ledger import Ledger
from tvmerge.tasks.base import Note, Tasks
from tvmerge.tasks.fastchat.benchmark import Benchmark
from tvmerge.tasks.fastchat.benchmark_toml import BenchmarkSettings
from tvmerge.tasks.judged import suite_of_benchmarks
from tvmerge.tasks.kinds import open_kinds
from tvmerge.tasks.lm_eval.open import open_tasks
from tvmerge.tasks.own import suite_of_own_judge
from tvmerge.tasks.suite import TaskSuite

if TYPE_CHECKING:
    from tvmerge._util.caches import Caches
    from tvmerge.judging.client.request_counter import RequestCounter
    from tvmerge.protocols import Judge
    from tvmerge.tasks.settings import SuiteConfig


def build_suite(
    config: SuiteConfig,
    caches: Caches,
    note: Note,
    ledger_file: Path | None = None,
    *,
    counter: RequestCounter | None = None,
    waiting: Note | None = None,
    own: Judge | None = None,
) -> TaskSuite:
    """Build the task suite of a run: benchmarks with their judges, and tasks.

    Args:
        config: The settings of benchmarks, judges and tasks.
        caches: Store paid replies.
        note: Shows the user a note.
        ledger_file: File that records calls; None keeps the records in memory only.
        counter: Counts the requests of the judges instead of sending them, in a dry run.
        waiting: Shows what the run is waiting for, replacing the previous line.
        own: The caller's own judge, instead of those that the settings name.

    Raises:
        UserError: A benchmark, a judge, a task or its data is missing or invalid.
    """
    tasks: tuple[Tasks, ...] = (open_tasks(config, note),) if config.has_tasks else ()
    tasks += open_kinds(config.task_kinds, note, config.prompt_settings)
    if own is not None:
        suite = suite_of_own_judge(own, config.judging, caches, note, ledger_file, asked=counter is None)
    elif config.bench_name:
        suite = suite_of_benchmarks(
            config.judging, caches, note, ledger_file, counter=counter, waiting=waiting
        )
    else:
        suite = _no_benchmark(ledger_file)
    for kind in tasks:
        suite = suite.with_tasks(kind)
    return suite


def _no_benchmark(ledger_file: Path | None) -> TaskSuite:
    """Return a suite without benchmarks, to add tasks to."""
    return TaskSuite(
        benchmark=Benchmark(
            name="",
            folder=Path(),
            questions=(),
            settings=BenchmarkSettings(),
            without_reference=(),
            stated=(),
            references={},
        ),
        parts=(),
        folders=(),
        specs=(),
        rater=None,
        ledger=Ledger(ledger_file),
    )
