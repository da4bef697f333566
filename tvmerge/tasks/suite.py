"""From settings to what is asked and who rates it: a jury's benchmarks, tasks of lm-eval, or both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tvmerge.errors import MissingExtraError
from tvmerge.judging.client.ledger import Ledger
from tvmerge.option import weighted
from tvmerge.scoring.objective import Part
from tvmerge.tasks.fastchat.benchmark import Benchmark
from tvmerge.tasks.fastchat.benchmark_toml import BenchmarkSettings
from tvmerge.tasks.judged import Jury, Note, assemble
from tvmerge.tasks.lm_eval import jglue
from tvmerge.tasks.lm_eval.requests import TaskRequest, one_each, task_requests
from tvmerge.tasks.settings import SuiteConfig, TaskConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tvmerge._util.caches import Caches
    from tvmerge.judging.client.dry_run import RequestCounter
    from tvmerge.records import Question
    from tvmerge.tasks.lm_eval.task import HarnessTask


def examiners(
    config: SuiteConfig,
    caches: Caches,
    note: Note,
    ledger_file: Path | None = None,
    *,
    tally: RequestCounter | None = None,
    waiting: Note | None = None,
) -> Jury:
    """Who judges what, tasks included.

    Args:
        config: The run's settings.
        caches: Where paid replies are kept.
        note: Tells the user something in passing.
        ledger_file: Where calls are entered; None keeps the accounts in memory only.
        tally: Counts what the judges would send; with one they send nothing.
        waiting: Shows what is waited for, in the place of what it showed before.

    Raises:
        UserError: A benchmark, a judge, a task or its data are missing or unsound.
    """
    if not config.has_tasks:
        return assemble(config.judging, caches, note, ledger_file, tally=tally, waiting=waiting)
    tasks = load(config, note)
    for task in tasks:
        if not task.metric.by_document:
            interval = (
                "; aggregating takes so long that there is no interval either" if task.metric.slow else ""
            )
            note(
                f"{task.name} is scored over all its documents at once ({task.metric.name} is no mean over "
                f"documents), so candidates do not race{interval}"
            )
    if not config.bench_name:
        return _tasks_alone(tasks, ledger_file)
    return _joined(assemble(config.judging, caches, note, ledger_file, tally=tally, waiting=waiting), tasks)


def load(config: TaskConfig, note: Note) -> tuple[HarnessTask, ...]:
    """The tasks that are asked.

    Raises:
        UserError: lm-eval is not installed, or a task is not usable.
    """
    requests = _requests(config, note)
    try:
        from tvmerge.tasks.lm_eval.documents import Prompting
        from tvmerge.tasks.lm_eval.loading import load_tasks
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "lm_eval", "harness") from error
    return load_tasks(
        requests,
        task_path=_path(config.task_path),
        jglue_data=_path(config.jglue_data),
        prompting=Prompting(config.system_instruction),
        note=note,
    )


def _requests(config: TaskConfig, note: Note) -> tuple[TaskRequest, ...]:
    """What is wanted of lm-eval: `--tasks`, then JGLUE's."""
    names = config.jglue_tasks
    if config.jglue_data is not None and not (names or config.tasks):
        names = _default_names(Path(config.jglue_data), note)
    texts = [weighted(text) for text in (*config.tasks, *names)]
    own = len(config.tasks)
    shots = one_each(config.num_fewshot, len(texts), "--num-fewshot", least=0)
    limits = [
        *one_each(config.task_limit, own, "--task-limit", least=1),
        *_jglue_limits(config, len(names), note),
    ]
    requests = task_requests(texts, shots, limits)
    return (*requests[:own], *map(jglue.resolve, requests[own:]))


def _default_names(folder: Path, note: Note) -> tuple[str, ...]:
    """The original scripts' tasks of JGLUE whose files are there; tells which are asked."""
    there = jglue.found(folder)
    names = tuple(name for name in jglue.DEFAULT if jglue.short(name) in there)
    missing = [jglue.short(name) for name in jglue.DEFAULT if name not in names]
    without = f"; {folder} has no file of {', '.join(missing)}" if missing else ""
    note(
        f"JGLUE's tasks are the original scripts', with {jglue.ORIGINAL_FEWSHOT} examples each unless "
        f"--num-fewshot says otherwise: {', '.join(names)}{without}"
    )
    return names


def _jglue_limits(config: TaskConfig, count: int, note: Note) -> list[int | None]:
    """How many documents of each of JGLUE's tasks are asked; tells where nobody said it."""
    if count and not config.jglue_limit:
        note(
            f"at most {jglue.ORIGINAL_LIMIT} documents of each of JGLUE's tasks are asked, as in the "
            "original scripts; --jglue-limit 0 asks all"
        )
        return [jglue.ORIGINAL_LIMIT] * count
    return [limit or None for limit in one_each(config.jglue_limit, count, "--jglue-limit", least=0)]


def _tasks_alone(tasks: tuple[HarnessTask, ...], ledger_file: Path | None) -> Jury:
    from tvmerge.tasks.lm_eval.judge import HarnessJudge

    questions = _questions(tasks)
    return Jury(
        benchmark=Benchmark(
            name=" + ".join(task.name for task in tasks),
            folder=Path(),
            questions=questions,
            settings=BenchmarkSettings(),
            without_reference=(),
            stated=questions,
            references={},
        ),
        parts=tuple(map(part_of, tasks)),
        folders=(),
        specs=(),
        judge=HarnessJudge(tasks),
        ledger=Ledger(ledger_file),
        baseline=None,
        tasks=tasks,
    )


def _joined(jury: Jury, tasks: tuple[HarnessTask, ...]) -> Jury:
    """The jury, and the metrics of tasks."""
    from tvmerge.tasks.lm_eval.judge import HarnessJudge

    benchmark, questions = jury.benchmark, _questions(tasks)
    return replace(
        jury,
        benchmark=replace(
            benchmark,
            name=" + ".join((benchmark.name, *(task.name for task in tasks))),
            questions=(*benchmark.questions, *questions),
            stated=(*benchmark.stated, *questions),
        ),
        parts=(*jury.parts, *map(part_of, tasks)),
        judge=HarnessJudge(tasks, jury.judge),
        tasks=tasks,
    )


def _questions(tasks: Sequence[HarnessTask]) -> tuple[Question, ...]:
    return tuple(question for task in tasks for question in task.questions)


def part_of(task: HarnessTask) -> Part:
    """What a task is in an objective."""
    return Part(
        name=task.name,
        questions=frozenset(task.by_id),
        weight=task.weight,
        floor=0.0,
        ceiling=1.0,
        aggregate=None if task.metric.by_document else task.aggregate,
        resamples=task.metric.resamples,
    )


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
