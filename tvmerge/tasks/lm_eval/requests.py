"""What is wanted of lm-eval: tasks by name, each with its metric, its weight and its size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tvmerge.errors import ConfigError


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """One task, or a group of tasks, as the user names it.

    Attributes:
        name: Of a task, group or tag of lm-eval, or of the user's own files.
        metric: What rates it; None: the first of the task's metrics.
        filter: The filter whose results are rated; None: the task's first.
        weight: Its weight beside other tasks and benchmarks; the tasks of a group share it evenly.
        num_fewshot: Examples in each prompt; None: as many as the task says.
        limit: How many documents are asked, from the first on; None: all.
    """

    name: str
    metric: str | None = None
    filter: str | None = None
    weight: float = 1.0
    num_fewshot: int | None = None
    limit: int | None = None


def task_requests(
    texts: Sequence[tuple[str, float]], num_fewshot: Sequence[int | None], limits: Sequence[int | None]
) -> tuple[TaskRequest, ...]:
    """Requests from texts like `name`, `name:metric` or `name:metric/filter`, with their weights.

    Args:
        texts: Each task as it is written, and its weight.
        num_fewshot: Examples in the prompts of each.
        limits: The most documents of each.

    Raises:
        ConfigError: A text names no task.
    """
    return tuple(
        _request(text, weight, shots, limit)
        for (text, weight), shots, limit in zip(texts, num_fewshot, limits, strict=True)
    )


def one_each(values: Sequence[int], count: int, flag: str, *, least: int) -> list[int | None]:
    """A number for each of `count` tasks, from none, from one for all, or from one per task.

    Raises:
        ConfigError: There are others than these, a number is below `least`, or there are numbers and no
            tasks; names the flag.
    """
    if not values:
        return [None] * count
    if not count:
        raise ConfigError(
            f"{flag} is set without a task that it applies to (--task-limit goes with --tasks, "
            "--jglue-limit with "
            "--jglue-tasks); leave it out"
        )
    low = min(values)
    if low < least:
        raise ConfigError(f"{flag} must be at least {least}, got {low}")
    if len(values) not in (1, count):
        raise ConfigError(
            f"{flag} takes one number, or one per task ({count} tasks), got {len(values)} numbers"
        )
    return [*values] * (count if len(values) == 1 else 1)


def _request(text: str, weight: float, num_fewshot: int | None, limit: int | None) -> TaskRequest:
    name, colon, rated = text.partition(":")
    metric, slash, choice = rated.partition("/")
    if not name.strip() or (colon and not metric) or (slash and not choice):
        raise ConfigError(f"a task is written name, name:metric or name:metric/filter, got '{text}'")
    return TaskRequest(name, metric or None, choice or None, weight, num_fewshot, limit)
