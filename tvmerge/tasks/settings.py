"""The settings of tasks of lm-evaluation-harness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from tvmerge.errors import ConfigError
from tvmerge.judging.settings import JudgeConfig
from tvmerge.option import option


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
        if (self.apply_chat_template or self.system_instruction is not None) and not self.has_tasks:
            flag = "apply_chat_template" if self.apply_chat_template else "system_instruction"
            raise ConfigError(f"{flag} applies to the prompts of tasks, but no task is set; leave it out")

    @property
    def has_tasks(self) -> bool:
        """Whether there are any tasks."""
        return bool(self.tasks or self.jglue_tasks or self.jglue_data)


@dataclass(frozen=True, kw_only=True)
class SuiteConfig(TaskConfig, JudgeConfig):
    """The settings of benchmarks, judges and tasks."""

    def __post_init__(self) -> None:
        for part in (JudgeConfig, TaskConfig):
            part.__post_init__(self)

    @property
    def judging(self) -> JudgeConfig:
        """The settings of benchmarks and judges."""
        return JudgeConfig(**{f.name: getattr(self, f.name) for f in fields(JudgeConfig)})
