"""Weights the tasks of a group as the group's file says, or else equally."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tvmerge.tasks.lm_eval.requests import TaskRequest


@dataclass(frozen=True, slots=True)
class Rule:
    """The parts of an entry of a group's `aggregate_metric_list` that affect the score.

    Attributes:
        metric: The metric of the tasks; None for each task's first.
        filter: The filter whose results are rated; None for each task's first.
        by_size: Whether tasks are weighted by their number of documents.
        strict: Whether tasks without the metric are left out, as in lm-eval.
    """

    metric: str | None
    filter: str | None
    by_size: bool = False
    strict: bool = False


def rule_of(request: TaskRequest, groups: Mapping[str, Any]) -> Rule:
    """Return how the scores of a request's tasks are combined.

    Args:
        request: The request.
        groups: lm-eval's groups by name, without tasks and tags.
    """
    group = groups.get(request.name)
    entries = () if group is None else group.aggregate_metric_list or ()
    entry = next((one for one in entries if request.metric in (None, one.metric)), None)
    if entry is None:
        return Rule(request.metric, request.filter)
    filters = entry.filter_list or [None]
    return Rule(entry.metric, request.filter or filters[0], bool(entry.weight_by_size), strict=True)


def shares(rule: Rule, sizes: Sequence[int]) -> list[float]:
    """Return the weight of each task; the weights sum to 1.

    Args:
        rule: The group's rule.
        sizes: The number of documents of each task.
    """
    counts = sizes if rule.by_size else [1] * len(sizes)
    return [count / sum(counts) for count in counts]
