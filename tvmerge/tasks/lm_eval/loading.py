"""Loads tasks by name: builds the prompts of their documents and selects their metrics."""

from __future__ import annotations

import difflib
import logging
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import lm_eval
import numpy as np
from datasets.exceptions import DatasetNotFoundError
from lm_eval.defaults import DEFAULT_OTHER_SEED, DEFAULT_RANDOM_SEED
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml

from tvmerge.errors import AssetError, ConfigError, UserError
from tvmerge.tasks.lm_eval import jglue
from tvmerge.tasks.lm_eval.data_files import find_nearby_data
from tvmerge.tasks.lm_eval.documents import PLAIN, Prompting, answerless, documents_of, prompted
from tvmerge.tasks.lm_eval.groups import Rule, rule_of, shares
from tvmerge.tasks.lm_eval.load_errors import unreadable, why_not_loaded
from tvmerge.tasks.lm_eval.metric import PERCENTAGES, Metric, choose_metric
from tvmerge.tasks.lm_eval.preflight import SLOW, check_scores, try_metric
from tvmerge.tasks.lm_eval.requests import TaskRequest
from tvmerge.tasks.lm_eval.task import Document, HarnessTask
from tvmerge.tasks.lm_eval.task_errors import told

JGLUE_FOLDER = Path(lm_eval.__file__).parent / "tasks" / "japanese_leaderboard"
NOISY = ("lm_eval", "huggingface_hub", "datasets")
"""Loggers that are silenced while data is loaded; problems are raised as errors."""


def load_tasks(
    requests: Sequence[TaskRequest],
    *,
    task_path: Path | None = None,
    jglue_data: Path | None = None,
    prompting: Prompting = PLAIN,
    note: Callable[[str], None] = lambda _: None,
) -> tuple[HarnessTask, ...]:
    """Load the requested tasks, with groups resolved.

    Seeds are those of lm-eval's `simple_evaluate`, so the examples in prompts are the same.

    Args:
        requests: The requested tasks.
        task_path: Folder with the user's own task files.
        jglue_data: Folder with JGLUE's files, used instead of the hub's data set.
        prompting: How prompts are written.
        note: Shows the user a note.

    Raises:
        ConfigError: A task, a metric or a filter is unknown, a task is named twice, its file or its code is
            invalid, or it needs something unsupported or missing: a package, images, running generated code.
        AssetError: A task's data is not available.
    """
    if task_path is not None and not task_path.is_dir():
        raise ConfigError(f"--task-path {task_path} is not a folder")
    with _quiet(), _seeded():
        manager = _manager([request.name for request in requests], task_path)
        tasks = [
            task for request in requests for task in _load(manager, request, jglue_data, prompting, note)
        ]
    names = [task.name for task in tasks]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"the task '{name}' is named twice, by itself or as part of a group")
    return tuple(tasks)


def _manager(names: Sequence[str], task_path: Path | None) -> TaskManager:
    """Return an index with the names; lm-eval's full index takes seconds, so it is built only if needed.

    Raises:
        ConfigError: A task is unknown; the message suggests similar ones.
    """
    own = [] if task_path is None else [task_path]
    small = find_nearby_data(TaskManager(include_path=[JGLUE_FOLDER, *own], include_defaults=False))
    if all(name in small.all_subtasks for name in names):
        return small
    manager = find_nearby_data(TaskManager(include_path=own or None))
    for name in names:
        if name not in manager.task_index:
            near = difflib.get_close_matches(name, manager.all_tasks, n=3)
            hint = f"did you mean {', '.join(near)}?" if near else "`lm_eval ls tasks` shows them all"
            hint = (unreadable(task_path) if task_path else "") or hint
            raise ConfigError(f"lm-eval has no task '{name}'; {hint}")
    return manager


def in_chats(tasks: Sequence[HarnessTask], prompting: Prompting) -> tuple[HarnessTask, ...]:
    """Return the tasks with their prompts rewritten.

    Raises:
        ConfigError: A prompt cannot be written; the message names task and document.
    """
    with _quiet(), _seeded():
        return tuple(
            replace(task, documents=prompted(task.name, task.source, contents, prompting))
            for task in tasks
            for contents in [[(number, deepcopy(d.content)) for number, d in enumerate(task.documents)]]
        )


def _load(
    manager: TaskManager,
    request: TaskRequest,
    jglue_data: Path | None,
    prompting: Prompting,
    note: Callable[[str], None],
) -> Iterator[HarnessTask]:
    bound = jglue_data is not None and request.name in jglue.TASKS.values()
    spec = _bind(manager, request, jglue_data) if bound and jglue_data is not None else request.name
    sources, groups = _data_of(manager, request.name, spec)
    rule = rule_of(request, groups)
    rated = []
    for name, source in sources.items():
        _refuse_unfit(name, source)
        _set_examples(source, request)
        documents = documents_of(name, source, request.limit, prompting)
        with _seeded():
            metric, given = _metric_of(source, documents, rule)
        if metric is None:
            note(f"{name} has no {rule.metric}, so it does not count in {request.name} (it has: {given})")
            continue
        _note_answerless(name, source, documents, note)
        rated.append((name, source, documents, metric))
    if not rated:
        raise ConfigError(f"no task of '{request.name}' has the metric '{rule.metric}' of its group")
    parts = shares(rule, [len(documents) for _, _, documents, _ in rated])
    for share, (name, source, documents, metric) in zip(parts, rated, strict=True):
        yield HarnessTask(name, request.weight * share, metric, documents, source)


def _metric_of(source: Any, documents: Sequence[Document], rule: Rule) -> tuple[Metric | None, str]:
    """Return the metric of a task, or None if it lacks the metric of its group, and its known metrics.

    Raises:
        ConfigError: The task has no such metric or filter, or its code fails.
    """
    filters = [one.name for one in source._filters]
    known = filters[0] if rule.filter is None or rule.filter not in filters else rule.filter
    found = try_metric(source, documents, known)
    given = list(dict.fromkeys(name for values in found for name in values))
    if rule.strict and (rule.metric not in given or rule.filter not in (None, known)):
        return None, ", ".join(given)
    metric = choose_metric(source, rule.metric, rule.filter, given)
    took = check_scores(source, documents, found, metric)
    slow = took >= SLOW and metric.aggregation not in PERCENTAGES
    return replace(metric, slow=slow), ", ".join(given)


def _note_answerless(
    name: str, source: Any, documents: Sequence[Document], note: Callable[[str], None]
) -> None:
    numbers = answerless(source, documents)
    if numbers:
        listed = ", ".join(map(str, numbers[:5])) + (", ..." if len(numbers) > 5 else "")
        note(
            f"{name}: the right answer of {len(numbers)} of {len(documents)} documents ({listed}) is none of "
            "their choices; as in lm-eval no model is right there"
        )


def _bind(manager: TaskManager, request: TaskRequest, folder: Path) -> dict[str, Any]:
    """Return the configuration of a JGLUE task with the files of `folder` as its data."""
    config = load_yaml(manager.task_index[request.name].yaml_path)
    shots = config["num_fewshot"] if request.num_fewshot is None else request.num_fewshot
    splits = jglue.read_splits(folder, request.name, shots)
    if len(splits["train"]) == shots:
        # The first ones for every prompt, so that the common prefix of prompts is computed once.
        config["fewshot_config"] = {"sampler": "first_n"}

    def data(**_: Any) -> datasets.DatasetDict:
        rows = {split: datasets.Dataset.from_list(documents) for split, documents in splits.items()}
        return datasets.DatasetDict(rows)

    return {**config, "custom_dataset": data}


def _data_of(
    manager: TaskManager, name: str, spec: str | dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return lm-eval's tasks and groups by name; translate their errors into one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = manager.load([spec])
    except UserError:
        raise
    except ModuleNotFoundError as error:
        raise ConfigError(f"task '{name}' needs the Python package '{error.name}'; install it") from error
    except (ConnectionError, DatasetNotFoundError, FileNotFoundError) as error:
        raise AssetError(
            f"the data of task '{name}' cannot be loaded: {told(error)}; data_files of a task file are "
            "looked up in the working directory, then next to the task file; without the hub, pass JGLUE's "
            "files with --jglue-data, write a task file (--task-path) with dataset_path: json and "
            "data_files, or set HF_HOME to a cache that has the data"
        ) from error
    except Exception as error:
        raise ConfigError(why_not_loaded(name, error)) from error
    if not loaded["tasks"]:
        raise ConfigError(f"'{name}' has no tasks; name them in its file")
    return dict(loaded["tasks"]), dict(loaded.get("groups", {}))


def _refuse_unfit(name: str, task: Any) -> None:
    if getattr(task, "UNSAFE_CODE", False):
        raise ConfigError(f"task '{name}' runs code that the model writes; tvmerge does not")
    if getattr(task, "MULTIMODAL", False):
        raise ConfigError(f"task '{name}' asks about pictures or sounds; tvmerge's models read text")


def _set_examples(task: Any, request: TaskRequest) -> None:
    """Set the number of examples as lm-eval does: a task's own 0 is kept."""
    own = task.get_config("num_fewshot")
    if own is None or (request.num_fewshot is not None and own != 0):
        task.set_config("num_fewshot", request.num_fewshot or 0)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence logs and progress bars while data is loaded."""
    loggers = [logging.getLogger(name) for name in NOISY]
    levels = [logger.level for logger in loggers]
    bars = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if not bars:
            datasets.enable_progress_bars()


@contextmanager
def _seeded() -> Iterator[None]:
    """Seed the random number generators like lm-eval, since some tasks shuffle their choices."""
    before, arrays = random.getstate(), np.random.get_state()
    random.seed(DEFAULT_RANDOM_SEED)
    np.random.seed(DEFAULT_OTHER_SEED)
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(arrays)
