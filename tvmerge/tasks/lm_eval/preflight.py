"""Rates made-up responses before a model is opened, to find errors in a task's code early.

A task's own code may fail on a document, give no value of a metric, or aggregate to nothing. If that happens
with every made-up response, it would with a model's. If it happens with some of them, the run has to show.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tvmerge._util.canonical import digest
from tvmerge.errors import ConfigError
from tvmerge.tasks.lm_eval.metric import Metric
from tvmerge.tasks.lm_eval.task import Document, filtered, place, values_of
from tvmerge.tasks.lm_eval.task_errors import blamed, finite

TEXTS = ("", "1", "A", "True")
"""Texts that a model may reply to any request."""

VARIANTS = 2 + len(TEXTS)
"""Number of different responses made up for each request."""

SLOW = 0.1
"""Seconds from which an aggregation is too slow to be repeated for each document or resample."""

Values = Sequence[Mapping[str, Any]]
"""The values of each document by metric."""


def try_metric(source: Any, documents: Sequence[Document], filter_name: str) -> Values:
    """Return the values that an lm-eval task gives made-up responses to its documents.

    Args:
        source: The task of lm-eval.
        documents: Its documents.
        filter_name: The filter whose results are rated.

    Raises:
        ConfigError: The task's code fails on a document, named in the message, with every response.
    """
    return [_first_that_works(source, document, filter_name) for document in documents]


def check_scores(
    source: Any,
    documents: Sequence[Document],
    found: Values,
    metric: Metric,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Reject a metric that has no score with any response.

    Args:
        source: The task of lm-eval.
        documents: Its documents.
        found: Their values.
        metric: The metric.
        clock: Returns the time in seconds.

    Returns:
        How long aggregating took, in seconds.

    Raises:
        ConfigError: A value or the score is not a number in any variant; the message names the task, and the
            document for a value.
    """
    name = source.task_name
    for document, values in zip(documents, found, strict=True):
        with blamed(place(document), "rating it", "fix the task's code"):
            _check_value(source, document, values, metric)
    begin = clock()
    fault = _fault(name, metric, found)
    took = clock() - begin
    if fault is None:
        return took
    # The score may depend on the response, so one variant with a score is enough.
    for variant in range(1, VARIANTS):
        other = [_tried(source, document, metric.filter, variant) for document in documents]
        if _fault(name, metric, [values for values in other if values is not None]) is None:
            return took
    raise fault


def made_up(document: Document, variant: int) -> list[list[Any]]:
    """Make up responses that a model might give to a document's requests; deterministic.

    Args:
        document: The document.
        variant: Text responses are the right answer in variant 0, then digits, then one of `TEXTS`.
            Likelihoods differ in each variant.
    """
    return [
        [_response(request.request_type, document, place, variant)] * (request.repeats or 1)
        for place, request in enumerate(document.requests)
    ]


def _response(kind: str, document: Document, place: int, variant: int) -> Any:
    drawn = int(digest([document.question.question_id, place, variant])[:8], 16)
    logprob = -0.5 - drawn / 2**29
    if kind == "loglikelihood":
        return logprob, drawn % 2 == 0
    if kind == "loglikelihood_rolling":
        return logprob
    return (*document.question.reference, str(1 + drawn % 5), *TEXTS)[variant]


def _first_that_works(source: Any, document: Document, filter_name: str) -> Mapping[str, Any]:
    faults = []
    for variant in range(VARIANTS):
        try:
            return _values(source, document, filter_name, variant)
        except ConfigError as error:
            faults.append(error)
    raise faults[0]


def _values(source: Any, document: Document, filter_name: str, variant: int) -> Mapping[str, Any]:
    kept = filtered(source, document, made_up(document, variant), filter_name)
    return values_of(source, document, kept)


def _tried(source: Any, document: Document, filter_name: str, variant: int) -> Mapping[str, Any] | None:
    try:
        return _values(source, document, filter_name, variant)
    except ConfigError:
        return None


def _check_value(source: Any, document: Document, values: Mapping[str, Any], metric: Metric) -> None:
    """Reject a document whose value is not a number in any variant.

    Raises:
        ConfigError: It is not a number, or it is nan and would make the mean nan.
    """
    if not metric.by_document or metric.name not in values:
        return
    fault = _value_fault(metric, values)
    for variant in range(1, VARIANTS):
        if fault is None:
            return
        other = _tried(source, document, metric.filter, variant)
        if other is not None and _value_fault(metric, other) is None:
            return
    if fault is not None:
        raise fault


def _value_fault(metric: Metric, values: Mapping[str, Any]) -> ConfigError | None:
    if metric.name not in values:
        return None
    value = values[metric.name]
    try:
        metric.check(value)
    except ConfigError as error:
        return error
    if math.isnan(finite(value)) and not metric.leaves_out_nan:
        return ConfigError(
            f"its value of '{metric.name}' is {value}, so the mean over all documents is undefined; fix "
            "process_results, or leave such documents out with 'aggregation: nanmean'"
        )
    return None


def _fault(name: str, metric: Metric, found: Values) -> ConfigError | None:
    """Return the error if these values have no score, or None."""
    values = [given[metric.name] for given in found if metric.name in given]
    if not values:
        return ConfigError(f"task '{name}' has no document with a value of '{metric.name}'")
    if metric.by_document:
        return None
    try:
        score = metric.total(values)
    except ConfigError as error:
        return ConfigError(f"task '{name}': {error}")
    if math.isnan(score):
        return ConfigError(
            f"task '{name}': its aggregation of '{metric.name}' over {len(values)} documents gives no finite "
            "number whatever a model says; see which documents it takes (a larger --task-limit may help)"
        )
    return None
