"""How the documents of a task are rated: which of its metrics, in which direction, on which scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lm_eval.api.metrics import bleu, chrf, chrfpp, f1_score, matthews_corrcoef, mean, nanmean, ter

from tvmerge.errors import ConfigError
from tvmerge.evaluation.intervals import RESAMPLES

MEANS = (mean, nanmean)
"""Aggregations that are the mean over documents."""

PERCENTAGES = (bleu, chrf, chrfpp, ter)
"""Aggregations whose result lies between 0 and 100. They compare texts, which takes long."""

CLASSIFICATIONS = (f1_score, matthews_corrcoef)
"""Aggregations of (label, prediction) pairs, which say nothing of a single pair."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of a task, turned so that more is better and a perfect score is 1 where there is one.

    Attributes:
        name: The metric.
        filter: The filter whose results it rates.
        aggregation: From the values of all documents to the task's.
        higher_is_better: Its direction; otherwise its values are negated.
    """

    name: str
    filter: str
    aggregation: Callable[[Sequence[Any]], Any]
    higher_is_better: bool

    @property
    def by_document(self) -> bool:
        """Whether a task's value is the mean of its documents' values."""
        return self.aggregation in MEANS

    @property
    def resamples(self) -> int:
        """How often documents are resampled for an interval: as often as takes seconds, or a few minutes."""
        if self.by_document:
            return RESAMPLES
        return 200 if self.aggregation in PERCENTAGES else 1_000

    @property
    def factor(self) -> float:
        """What a value is multiplied with to be a score."""
        return (1.0 if self.higher_is_better else -1.0) / (100 if self.aggregation in PERCENTAGES else 1)

    def score(self, value: Any) -> float:
        """The score of a value; more is better."""
        return self.factor * float(value)

    def alone(self, value: Any) -> float:
        """The score of one document: what its task would have without the others.

        For F1 and the correlation of Matthews it is 1 where the prediction is right, else 0.

        Raises:
            ConfigError: The metric cannot rate a document alone.
        """
        if self.by_document:
            return self.score(value)
        if self.aggregation in CLASSIFICATIONS:
            return float(value[0] == value[1])
        try:
            return self.score(self.aggregation([value]))
        except Exception as error:
            raise ConfigError(
                f"the metric '{self.name}' cannot rate a document alone ({error!r}); choose another"
            ) from error


def choose_metric(task: Any, name: str | None, filter_name: str | None) -> Metric:
    """The metric of an lm-eval task that was asked for, else its first; likewise the filter.

    Raises:
        ConfigError: The task has none of that name; says which it has.
    """
    metrics, filters = list(task.aggregation()), [one.name for one in task._filters]
    name = _one_of(metrics, name, f"task '{task.task_name}' has no metric")
    chosen = _one_of(filters, filter_name, f"task '{task.task_name}' has no filter")
    return Metric(name, chosen, task.aggregation()[name], bool(task.higher_is_better().get(name, True)))


def _one_of(known: Sequence[str], wanted: str | None, complaint: str) -> str:
    if wanted is None:
        return known[0]
    if wanted not in known:
        raise ConfigError(f"{complaint} '{wanted}'; it has: {', '.join(known)}")
    return wanted
