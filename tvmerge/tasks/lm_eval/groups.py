"""What the tasks of a group count in its score: as much as the group's file says, else evenly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tvmerge.tasks.lm_eval.requests import TaskRequest


@dataclass(frozen=True, slots=True)
class Rule:
    """An entry of a group's `aggregate_metric_list`, as far as it decides a score.

    Attributes:
        metric: The metric of the tasks; None: each task's first.
        filter: The filter whose results are rated; None: each task's first.
        by_size: Whether a task counts as often as it has documents.
        strict: Whether tasks without the metric are left out, as lm-eval does it.
    """

    metric: str | None
    filter: str | None
    by_size: bool = False
    strict: bool = False


def rule_of(request: TaskRequest, groups: Mapping[str, Any]) -> Rule:
    """How the tasks of a request become one score.

    Args:
        request: What is wanted.
        groups: lm-eval's groups by name; tasks and tags are none.
    """
    group = groups.get(request.name)
    entries = () if group is None else group.aggregate_metric_list or ()
    entry = next((one for one in entries if request.metric in (None, one.metric)), None)
    if entry is None:
        return Rule(request.metric, request.filter)
    filters = entry.filter_list or [None]
    return Rule(entry.metric, request.filter or filters[0], bool(entry.weight_by_size), strict=True)


def shares(rule: Rule, sizes: Sequence[int]) -> list[float]:
    """What each task counts, summing to 1.

    Args:
        rule: The group's.
        sizes: The tasks' numbers of documents.
    """
    counts = sizes if rule.by_size else [1] * len(sizes)
    return [count / sum(counts) for count in counts]
