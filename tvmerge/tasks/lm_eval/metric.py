"""How the documents of a task are rated: which of its metrics, in which direction, on which scale."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lm_eval.api.metrics import bleu, chrf, chrfpp, f1_score, matthews_corrcoef, mean, nanmean, ter

from tvmerge.errors import ConfigError
from tvmerge.scoring.intervals import RESAMPLES
from tvmerge.tasks.lm_eval.task_errors import finite, is_number, shown, told

MEANS = (mean, nanmean)
"""Aggregations that are the mean over documents."""

PERCENTAGES = (bleu, chrf, chrfpp, ter)
"""Aggregations whose result is between 0 and 100. They compare texts, which takes long."""

CLASSIFICATIONS = (f1_score, matthews_corrcoef)
"""Aggregations of (label, prediction) pairs, which say nothing about a single pair."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of a task, turned so that more is better and a perfect score is 1 where there is one.

    Attributes:
        name: The metric.
        filter: The filter whose results it rates.
        aggregation: From the values of all documents to the task's.
        higher_is_better: Its direction; otherwise its values are negated.
        slow: Whether aggregating takes too long to be done for each document, or for each of many resamples.
    """

    name: str
    filter: str
    aggregation: Callable[[Sequence[Any]], Any]
    higher_is_better: bool
    slow: bool = False

    @property
    def by_document(self) -> bool:
        """Whether a task's value is the mean of its documents' values."""
        return self.aggregation in MEANS

    @property
    def leaves_out_nan(self) -> bool:
        """Whether documents whose value is nan do not count."""
        return self.aggregation is nanmean

    @property
    def resamples(self) -> int:
        """How often documents are resampled for an interval: as often as takes seconds, or a few minutes."""
        if self.by_document:
            return RESAMPLES
        if self.slow:
            return 0
        return 200 if self.aggregation in PERCENTAGES else 1_000

    @property
    def factor(self) -> float:
        """What a value is multiplied with to be a score."""
        return (1.0 if self.higher_is_better else -1.0) / (100 if self.aggregation in PERCENTAGES else 1)

    def score(self, value: Any) -> float:
        """The score of a value; more is better."""
        return self.factor * float(value)

    def total(self, values: Sequence[Any]) -> float:
        """The score of many documents by their values; nan where it is no finite number.

        Raises:
            ConfigError: The aggregation fails, or gives something other than a number.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                value = self.aggregation(list(values))
        except ArithmeticError as error:
            if _is_lm_evals(self.aggregation):
                # As the perplexity of a broken model, which is larger than any number.
                return math.nan
            raise self._failed(values, error) from error
        except Exception as error:
            raise self._failed(values, error) from error
        if not is_number(value):
            raise ConfigError(
                f"its aggregation of '{self.name}' over {len(values)} documents gives {shown(value)}, no "
                "number; fix it in the task's file, or choose another metric (--tasks NAME:METRIC)"
            )
        return finite(self.score(value))

    def alone(self, value: Any) -> float:
        """The score of one document: what its task would have without the others; nan where that is nothing.

        For F1 and the correlation of Matthews it is 1 where the prediction is right, else 0.
        """
        if self.by_document:
            return self.score(value)
        if self.slow:
            return math.nan
        try:
            if self.aggregation in CLASSIFICATIONS:
                return float(value[0] == value[1])
            return self.total([value])
        except (ConfigError, TypeError, ValueError, LookupError):
            return math.nan

    def check(self, value: Any) -> None:
        """Refuse a document's value that no mean can be taken of.

        Raises:
            ConfigError: It is not a number.
        """
        if self.by_document and not is_number(value):
            raise ConfigError(
                f"its value of '{self.name}' is {shown(value)}, no number; fix process_results, or give the "
                "metric an aggregation of its own"
            )

    def _failed(self, values: Sequence[Any], error: Exception) -> ConfigError:
        return ConfigError(
            f"its aggregation of '{self.name}' over {len(values)} documents fails with {told(error)}; fix it "
            "in the task's file, or choose another metric (--tasks NAME:METRIC)"
        )


def choose_metric(task: Any, name: str | None, filter_name: str | None, given: Sequence[str]) -> Metric:
    """The metric of an lm-eval task that was asked for, else its first; likewise the filter.

    Args:
        task: The task.
        name: What was asked for.
        filter_name: Whose results are rated.
        given: The metrics that the task has values of.

    Raises:
        ConfigError: The task has none of that name; says which it has.
    """
    declared, filters = task.aggregation(), [one.name for one in task._filters]
    of_task = f"task '{task.task_name}'"
    if name is None:
        name = next((metric for metric in declared if metric in given), None)
        if name is None:
            listed = ", ".join(str(getattr(metric, "__name__", metric)) for metric in declared)
            way_out = _instead(task, given)
            raise ConfigError(f"{of_task} gives no value of its metrics ({listed or 'none'}); {way_out}")
    elif name not in given:
        known = [metric for metric in declared if metric in given] or given
        raise ConfigError(f"{of_task} has no metric '{name}'; it has: {', '.join(known)}")
    chosen = _one_of(filters, filter_name, f"{of_task} has no filter")
    # What process_results gives beside the metrics of the file is averaged, as lm-eval does it.
    return Metric(name, chosen, declared.get(name, mean), bool(task.higher_is_better().get(name, True)))


def _instead(task: Any, given: Sequence[str]) -> str:
    """What to do where a task rates documents by none of its metrics."""
    if given:
        listed = ", ".join(given)
        return f"process_results gives {listed}: name one (--tasks NAME:{given[0]}), or fix metric_list"
    if task.config.process_results is None:
        kind = task.config.output_type
        return f"lm-eval has no such metric for tasks with output_type {kind}; rate by process_results"
    return "its process_results gives nothing for any document; return {metric: value}"


def _is_lm_evals(aggregation: Callable[..., Any]) -> bool:
    module: str = mean.__module__
    return getattr(aggregation, "__module__", None) == module


def _one_of(known: Sequence[str], wanted: str | None, complaint: str) -> str:
    if wanted is None:
        return known[0]
    if wanted not in known:
        raise ConfigError(f"{complaint} '{wanted}'; it has: {', '.join(known)}")
    return wanted
