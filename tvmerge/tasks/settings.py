"""The settings of tasks of lm-evaluation-harness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from tvmerge.errors import ConfigError
from tvmerge.judging.settings import JudgeConfig
from tvmerge.option import option
from tvmerge.tasks.kinds import kind_of

PROMPT_SETTINGS = ("apply_chat_template", "fewshot_as_multiturn", "system_instruction")
"""Settings of how tasks are written, which kinds of tasks can inherit."""


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """The settings of tasks, which need no judge."""

    tasks: tuple[str, ...] = option(
        str,
        "Tasks or groups of lm-evaluation-harness: name, name:metric or name:metric/filter; with weights: "
        "a=0.7,b:acc_norm=0.3.",
        (),
        many=True,
        decides="content",
    )
    task_path: str | None = option(str, "Folder with your own task files (YAML).", None, decides="content")
    task_limit: tuple[int, ...] = option(
        int,
        "Documents of --tasks to ask: one number, or one per task; default: all.",
        (),
        many=True,
        decides="content",
    )
    num_fewshot: tuple[int, ...] = option(
        int,
        "Examples in the prompts of tasks: one number, or one per task (--tasks, then --jglue-tasks); "
        "default: "
        "the task's own.",
        (),
        many=True,
        decides="content",
    )
    apply_chat_template: bool = option(
        bool,
        "Write the prompts of tasks in the chat template, as lm-eval's flag does.",
        False,
        decides="content",
    )
    fewshot_as_multiturn: bool | None = option(
        bool,
        "Examples in a chat are separate turns (true), or part of the question (false); default: true, "
        "as in lm-eval.",
        None,
        decides="content",
    )
    system_instruction: str | None = option(
        str,
        "System message in front of the prompts of tasks, and of a task's own description.",
        None,
        decides="content",
    )
    jglue_tasks: tuple[str, ...] = option(
        str,
        "JGLUE's tasks: jcommonsenseqa, jnli, jsquad, marc_ja, or as the original scripts name them; "
        "default: the scripts' four, those whose files are in --jglue-data.",
        (),
        many=True,
        decides="content",
    )
    jglue_data: str | None = option(
        str, "Folder with JGLUE's JSON files, instead of the hub's data set.", None, decides="content"
    )
    jglue_limit: tuple[int, ...] = option(
        int,
        "Documents of --jglue-tasks that are asked: one number, or one per task, 0 for all; default: 500, as "
        "in the original scripts.",
        (),
        many=True,
        decides="content",
    )

    task_kinds: tuple[Mapping[str, Any], ...] = option(
        dict,
        "Tasks of other kinds: tables with kind and what that kind takes; see docs/plugins.md.",
        (),
        many=True,
        decides="content",
    )

    def __post_init__(self) -> None:
        if self.fewshot_as_multiturn and not self.apply_chat_template:
            raise ConfigError(
                "fewshot_as_multiturn writes turns of a chat; pass --apply-chat-template as well"
            )
        for name in self.prompt_settings:
            if not self.has_tasks and not any(name in kind_of(table).inherits for table in self.task_kinds):
                raise ConfigError(f"{name} applies to the prompts of tasks, but no task is set; leave it out")

    @property
    def has_tasks(self) -> bool:
        """Whether there are any tasks of lm-evaluation-harness."""
        return bool(self.tasks or self.jglue_tasks or self.jglue_data)

    @property
    def prompt_settings(self) -> dict[str, Any]:
        """The settings of the prompts of tasks that are not at their defaults, by key."""
        defaults = {f.name: f.default for f in fields(TaskConfig)}
        return {name: value for name in PROMPT_SETTINGS if (value := getattr(self, name)) != defaults[name]}


@dataclass(frozen=True, kw_only=True)
class SuiteConfig(TaskConfig, JudgeConfig):
    """The settings of benchmarks, judges and tasks."""

    def __post_init__(self) -> None:
        for part in (JudgeConfig, TaskConfig):
            part.__post_init__(self)
        if self.judge_anchor is not None and (self.has_tasks or self.task_kinds):
            raise ConfigError(
                "--judge-anchor is for benchmarks that judges rate, and tasks rate themselves; leave out one "
                "of them"
            )

    @property
    def judging(self) -> JudgeConfig:
        """The settings of benchmarks and judges."""
        return JudgeConfig(**{f.name: getattr(self, f.name) for f in fields(JudgeConfig)})
