"""The settings that make tasks of lm-evaluation-harness part of what is maximised."""

from __future__ import annotations

from dataclasses import dataclass

from tvmerge.config.option import option


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """The settings of tasks, which need no judge."""

    tasks: tuple[str, ...] = option(
        str,
        "Tasks or groups of lm-evaluation-harness: name, name:metric or name:metric/filter; with weights: "
        "a=0.7,b:acc_norm=0.3.",
        (),
        many=True,
    )
    task_path: str | None = option(str, "Folder with task files (YAML) of your own.", None)
    task_limit: tuple[int, ...] = option(
        int, "Documents of --tasks that are asked: one number, or one a task; default: all.", (), many=True
    )
    num_fewshot: tuple[int, ...] = option(
        int,
        "Examples in the prompts of tasks: one number, or one a task (--tasks, then --jglue-tasks); default: "
        "the task's own.",
        (),
        many=True,
    )
    jglue_tasks: tuple[str, ...] = option(
        str,
        "JGLUE's tasks: jcommonsenseqa, jnli, jsquad, marc_ja, or as the original scripts name them; "
        "default: those whose files are in --jglue-data.",
        (),
        many=True,
    )
    jglue_data: str | None = option(
        str, "Folder with JGLUE's JSON files, instead of the hub's data set.", None
    )
    jglue_limit: tuple[int, ...] = option(
        int,
        "Documents of --jglue-tasks that are asked: one number, or one a task; default: all.",
        (),
        many=True,
    )

    @property
    def has_tasks(self) -> bool:
        """Whether any task is asked."""
        return bool(self.tasks or self.jglue_tasks or self.jglue_data)
