"""Opens the tasks of lm-evaluation-harness that the settings name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tvmerge.errors import MissingExtraError
from tvmerge.option import weighted
from tvmerge.tasks.base import Note
from tvmerge.tasks.lm_eval import jglue
from tvmerge.tasks.lm_eval.requests import TaskRequest, one_each, task_requests

if TYPE_CHECKING:
    from tvmerge.tasks.lm_eval.task import HarnessTask
    from tvmerge.tasks.lm_eval.tasks import HarnessTasks
    from tvmerge.tasks.settings import TaskConfig


def open_tasks(config: TaskConfig, note: Note) -> HarnessTasks:
    """Open the tasks, and note those without racing.

    Raises:
        UserError: lm-eval is not installed, or a task is invalid.
    """
    requests = _requests(config, note)
    try:
        from tvmerge.tasks.lm_eval.documents import Prompting
        from tvmerge.tasks.lm_eval.loading import load_tasks
        from tvmerge.tasks.lm_eval.tasks import HarnessTasks
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "lm_eval", "harness") from error
    tasks = load_tasks(
        requests,
        task_path=_path(config.task_path),
        jglue_data=_path(config.jglue_data),
        prompting=Prompting(config.system_instruction),
        note=note,
    )
    for task in tasks:
        if not task.metric.by_document:
            note(_without_race(task))
    return HarnessTasks(tasks, config)


def _without_race(task: HarnessTask) -> str:
    interval = "; aggregating takes so long that there is no interval either" if task.metric.slow else ""
    return (
        f"{task.name} is scored over all its documents at once ({task.metric.name} is not a mean over "
        f"documents), so there is no racing{interval}"
    )


def _requests(config: TaskConfig, note: Note) -> tuple[TaskRequest, ...]:
    """Return the requested tasks: those of `--tasks`, then JGLUE's."""
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
    """Return the original scripts' tasks of JGLUE whose files exist, and note which they are."""
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
    """Return the number of documents of each of JGLUE's tasks, and note it if it is the default."""
    if count and not config.jglue_limit:
        note(
            f"at most {jglue.ORIGINAL_LIMIT} documents of each of JGLUE's tasks are asked, as in the "
            "original scripts; --jglue-limit 0 asks all"
        )
        return [jglue.ORIGINAL_LIMIT] * count
    return [limit or None for limit in one_each(config.jglue_limit, count, "--jglue-limit", least=0)]


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
