"""Explains why lm-eval cannot load a task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks import _yaml_loader

from tvmerge.tasks.lm_eval.task_errors import frames, shown, told

KEYS = ("task", "group", "class")
"""Keys of which every file with a task or a group has one."""


def why_not_loaded(name: str, error: Exception) -> str:
    """Return why a task cannot be loaded, in one line; loading includes a trial of the first document.

    Args:
        name: The task, or its group.
        error: The error that lm-eval raised.
    """
    tried = next(
        (
            found
            for function, _, found in reversed(frames(error))
            if function == "__init__" and isinstance(found.get("self"), ConfigurableTask)
        ),
        {},
    )
    task = tried.get("self")
    of_task = f"task '{name}'" if task is None else f"task '{task.config.task}'"
    if task is not None and task.config.dataset_path is None and task.config.custom_dataset is None:
        return f"{of_task} names no data (dataset_path); is there a task of that name?"
    features = getattr(task, "features", None)
    if "task_docs" in vars(task or object) and features is None:
        kind = type(vars(task)["task_docs"]).__name__
        return f"{of_task} cannot be loaded: its documents are a {kind}; have process_docs return a Dataset"
    if features is None:
        return f"{of_task} cannot be loaded: {told(error)}; fix its file or its data"
    return _why_not_tried(of_task, tried, f"its columns: {', '.join(features)}", error)


def _why_not_tried(of_task: str, tried: Mapping[str, Any], columns: str, error: Exception) -> str:
    """Return why the first document fails, from lm-eval's local variables."""
    if "test_doc" not in tried:
        return f"{of_task} has no documents; see its splits and process_docs"
    if "check_choices" in tried:
        return (
            f"{of_task}, document 0: a choice is {shown(tried.get('choice'))}, not a text; see doc_to_choice"
        )
    if "test_target" in tried and "test_choice" in tried and isinstance(error, LookupError):
        target, choices = shown(tried["test_target"]), shown(tried["test_choice"])
        return (
            f"{of_task}, document 0: the right answer, {target}, is none of the choices {choices}, counted "
            f"from 0; fix doc_to_target, or the data ({columns})"
        )
    return f"{of_task}, document 0: {told(error)}; fix its file, or the data ({columns})"


def unreadable(folder: Path) -> str:
    """Return the first task file in a folder that lm-eval silently skips, and why; or an empty string.

    Files without a task are not reported, since other files may include them.
    """
    for path in sorted((*folder.rglob("*.yaml"), *folder.rglob("*.yml"))):
        try:
            content = _yaml_loader.load_yaml(path, resolve_func=False)
        except (OSError, ValueError, _yaml_loader.yaml.YAMLError) as error:
            return f"{path} cannot be read: {told(error)}"
        if path.suffix == ".yml" and any(key in content for key in KEYS):
            return f"lm-eval reads files that end in .yaml; rename {path}"
    return ""
