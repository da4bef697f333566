"""Parses the requested tasks of lm-eval: name, metric, weight and size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tvmerge.errors import ConfigError


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """A task, or a group of tasks, as named by the user.

    Attributes:
        name: Name of a task, group or tag of lm-eval or of the user's own files.
        metric: The metric that rates it; None for the task's first.
        filter: The filter whose results are rated; None for the task's first.
        weight: Its weight relative to other tasks and benchmarks; the tasks of a group share it equally.
        num_fewshot: Number of examples in each prompt; None for the task's own number.
        limit: Number of documents to ask, from the first; None for all.
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
    """Parse requests like `name`, `name:metric` or `name:metric/filter`.

    Args:
        texts: The text and the weight of each task.
        num_fewshot: Number of examples in the prompts of each task.
        limits: Maximum number of documents of each task.

    Raises:
        ConfigError: A text has another form.
    """
    return tuple(
        _request(text, weight, shots, limit)
        for (text, weight), shots, limit in zip(texts, num_fewshot, limits, strict=True)
    )


def one_each(values: Sequence[int], count: int, flag: str, *, least: int) -> list[int | None]:
    """Return a number for each of `count` tasks, given none, one for all, or one per task.

    Raises:
        ConfigError: There is another number of values, a value is below `least`, or there are values but no
            tasks; the message names the flag.
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
        raise ConfigError(f"write a task as name, name:metric or name:metric/filter; got '{text}'")
    return TaskRequest(name, metric or None, choice or None, weight, num_fewshot, limit)
