"""Tasks of lm-evaluation-harness; its flags, such as `--tasks`, are the keys of its table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from tvmerge.errors import ConfigError
from tvmerge.tasks.base import Note, Tasks
from tvmerge.tasks.kinds import TaskKind
from tvmerge.tasks.lm_eval.open import open_tasks
from tvmerge.tasks.settings import PROMPT_SETTINGS, TaskConfig


def _open(options: Mapping[str, Any], note: Note) -> Tasks:
    known = [f.name for f in fields(TaskConfig) if f.name != "task_kinds"]
    if unknown := [key for key in options if key not in known]:
        raise ConfigError(f"task_kinds: lm_eval has no key '{unknown[0]}'; known: {', '.join(known)}")
    given: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in options.items()
    }
    config = TaskConfig(**given)
    if not config.has_tasks:
        raise ConfigError("task_kinds: lm_eval needs tasks, jglue_tasks or jglue_data")
    return open_tasks(config, note)


TASK_KIND = TaskKind(open=_open, inherits=PROMPT_SETTINGS)
