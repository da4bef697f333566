"""From the names of tasks to their documents, with prompts built and metrics chosen."""

from __future__ import annotations

import difflib
import logging
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
from tvmerge.evaluation.harness import jglue
from tvmerge.evaluation.harness.documents import documents_of
from tvmerge.evaluation.harness.metric import choose_metric
from tvmerge.evaluation.harness.requests import TaskRequest
from tvmerge.evaluation.harness.task import HarnessTask

JGLUE_FOLDER = Path(lm_eval.__file__).parent / "tasks" / "japanese_leaderboard"
NOISY = ("lm_eval", "huggingface_hub", "datasets")
"""Loggers of whoever loads data; what matters of it comes back as an error."""


def load_tasks(
    requests: Sequence[TaskRequest], *, task_path: Path | None = None, jglue_data: Path | None = None
) -> tuple[HarnessTask, ...]:
    """The tasks that are wanted, groups resolved.

    Seeds are those of lm-eval's `simple_evaluate`, so the examples in prompts are the same.

    Args:
        requests: What is wanted.
        task_path: Folder of the user's own task files.
        jglue_data: Folder with JGLUE's files, to be used instead of the hub's data set.

    Raises:
        ConfigError: A task, a metric or a filter is unknown, a task is named twice, or it needs what there
            is not: a package, a picture, running the model's code.
        AssetError: A task's data cannot be had.
    """
    if task_path is not None and not task_path.is_dir():
        raise ConfigError(f"--task-path {task_path} is not a folder")
    with _quiet(), _seeded():
        manager = _manager([request.name for request in requests], task_path)
        tasks = [task for request in requests for task in _load(manager, request, jglue_data)]
    names = [task.name for task in tasks]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"the task '{name}' is named twice, by itself or as part of a group")
    return tuple(tasks)


def _manager(names: Sequence[str], task_path: Path | None) -> TaskManager:
    """An index that has the names; lm-eval's whole one takes seconds and is built only where it is needed.

    Raises:
        ConfigError: There is no such task; says which are near.
    """
    own = [] if task_path is None else [task_path]
    small = TaskManager(include_path=[JGLUE_FOLDER, *own], include_defaults=False)
    if all(name in small.all_subtasks for name in names):
        return small
    manager = TaskManager(include_path=own or None)
    for name in names:
        if name not in manager.task_index:
            near = difflib.get_close_matches(name, manager.all_tasks, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else "`lm_eval ls tasks` shows them all"
            raise ConfigError(f"lm-eval has no task '{name}'; {hint}")
    return manager


def _load(manager: TaskManager, request: TaskRequest, jglue_data: Path | None) -> Iterator[HarnessTask]:
    bound = jglue_data is not None and request.name in jglue.TASKS.values()
    spec = _bind(manager, request, jglue_data) if bound and jglue_data is not None else request.name
    loaded = _data_of(manager, request.name, spec)
    for name, task in loaded.items():
        _refuse_unfit(name, task)
        _set_examples(task, request)
        yield HarnessTask(
            name=name,
            weight=request.weight / len(loaded),
            metric=choose_metric(task, request.metric, request.filter),
            documents=documents_of(name, task, request.limit),
            source=task,
        )


def _bind(manager: TaskManager, request: TaskRequest, folder: Path) -> dict[str, Any]:
    """The configuration of a JGLUE task with the files of `folder` as its data."""
    config = load_yaml(manager.task_index[request.name].yaml_path)
    shots = config["num_fewshot"] if request.num_fewshot is None else request.num_fewshot
    splits = jglue.read_splits(folder, request.name, shots)
    if len(splits["train"]) == shots:
        # All there are, in this order: what prompts have in common is then computed once.
        config["fewshot_config"] = {"sampler": "first_n"}

    def data(**_: Any) -> datasets.DatasetDict:
        rows = {split: datasets.Dataset.from_list(documents) for split, documents in splits.items()}
        return datasets.DatasetDict(rows)

    return {**config, "custom_dataset": data}


def _data_of(manager: TaskManager, name: str, spec: str | dict[str, Any]) -> dict[str, Any]:
    """lm-eval's tasks by name; what they raise is told in one line."""
    try:
        return dict(manager.load([spec])["tasks"])
    except UserError:
        raise
    except ModuleNotFoundError as error:
        raise ConfigError(f"task '{name}' needs the Python package '{error.name}'; install it") from error
    except (ConnectionError, DatasetNotFoundError, FileNotFoundError) as error:
        raise AssetError(
            f"the data of task '{name}' cannot be had: {_first_line(error)}; on a machine without the hub "
            "give JGLUE's files with --jglue-data, or a task file of your own (--task-path) with "
            "dataset_path: json and your data_files, or the cache of a machine that has it (HF_HOME)"
        ) from error
    except Exception as error:
        raise ConfigError(f"task '{name}' cannot be loaded: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).split("\n")[0]


def _refuse_unfit(name: str, task: Any) -> None:
    if getattr(task, "UNSAFE_CODE", False):
        raise ConfigError(f"task '{name}' runs code that the model writes; tvmerge does not")
    if getattr(task, "MULTIMODAL", False):
        raise ConfigError(f"task '{name}' asks about pictures or sounds; tvmerge's models read text")


def _set_examples(task: Any, request: TaskRequest) -> None:
    """How many examples prompts have, as lm-eval does it: a task's own 0 stands."""
    own = task.get_config("num_fewshot")
    if own is None or (request.num_fewshot is not None and own != 0):
        task.set_config("num_fewshot", request.num_fewshot or 0)
    task.set_fewshot_seed(DEFAULT_OTHER_SEED)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the log and the progress bars of whoever loads data."""
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
    """With the random numbers that lm-eval starts from; some tasks shuffle their choices by them."""
    before, arrays = random.getstate(), np.random.get_state()
    random.seed(DEFAULT_RANDOM_SEED)
    np.random.seed(DEFAULT_OTHER_SEED)
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(arrays)
