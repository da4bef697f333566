"""The metric of a task, with its direction and scale."""

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
"""Aggregations that are a mean over documents."""

PERCENTAGES = (bleu, chrf, chrfpp, ter)
"""Aggregations with results in [0, 100]. They compare texts, which is slow."""

CLASSIFICATIONS = (f1_score, matthews_corrcoef)
"""Aggregations of (label, prediction) pairs, which are not defined for a single pair."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of a task, scaled so that higher is better and a perfect score, if there is one, is 1.

    Attributes:
        name: The metric.
        filter: The filter whose results it rates.
        aggregation: Computes the task's value from those of all documents.
        higher_is_better: Whether higher values are better; if not, values are negated.
        slow: Whether aggregating is too slow to be repeated for each document or for many resamples.
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
        """Whether documents with the value nan are excluded."""
        return self.aggregation is nanmean

    @property
    def resamples(self) -> int:
        """How often documents are resampled for an interval, so that it takes seconds or a few minutes."""
        if self.by_document:
            return RESAMPLES
        if self.slow:
            return 0
        return 200 if self.aggregation in PERCENTAGES else 1_000

    @property
    def factor(self) -> float:
        """The factor that turns a value into a score."""
        return (1.0 if self.higher_is_better else -1.0) / (100 if self.aggregation in PERCENTAGES else 1)

    def score(self, value: Any) -> float:
        """Return the score of a value; higher is better."""
        return self.factor * float(value)

    def total(self, values: Sequence[Any]) -> float:
        """Return the score of many documents from their values; nan if it is not finite.

        Raises:
            ConfigError: The aggregation fails, or gives something other than a number.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                value = self.aggregation(list(values))
        except ArithmeticError as error:
            if _is_lm_evals(self.aggregation):
                # For example the perplexity of a broken model, which overflows.
                return math.nan
            raise self._failed(values, error) from error
        except Exception as error:
            raise self._failed(values, error) from error
        if not is_number(value):
            raise ConfigError(
                f"its aggregation of '{self.name}' over {len(values)} documents gives {shown(value)}, not a "
                "number; fix it in the task's file, or choose another metric (--tasks NAME:METRIC)"
            )
        return finite(self.score(value))

    def alone(self, value: Any) -> float:
        """Return the score of one document by itself; nan if it has none.

        For F1 and Matthews correlation, it is 1 if the prediction is right, else 0.
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
        """Check that a document's value can be averaged.

        Raises:
            ConfigError: It is not a number.
        """
        if self.by_document and not is_number(value):
            raise ConfigError(
                f"its value of '{self.name}' is {shown(value)}, not a number; fix process_results, or "
                "set an aggregation for the metric"
            )

    def _failed(self, values: Sequence[Any], error: Exception) -> ConfigError:
        return ConfigError(
            f"its aggregation of '{self.name}' over {len(values)} documents fails with {told(error)}; fix it "
            "in the task's file, or choose another metric (--tasks NAME:METRIC)"
        )


def choose_metric(task: Any, name: str | None, filter_name: str | None, given: Sequence[str]) -> Metric:
    """Return the requested metric of an lm-eval task, or its first one; likewise the filter.

    Args:
        task: The task.
        name: The requested metric, if any.
        filter_name: The requested filter, if any.
        given: The metrics for which the task returns values.

    Raises:
        ConfigError: The task has no such metric or filter; the message names those it has.
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
    # Values of process_results that are not metrics of the file are averaged, as in lm-eval.
    return Metric(name, chosen, declared.get(name, mean), bool(task.higher_is_better().get(name, True)))


def _instead(task: Any, given: Sequence[str]) -> str:
    """Return what to do if a task returns values for none of its metrics."""
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
