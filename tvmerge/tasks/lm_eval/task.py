"""A task of lm-eval: its documents as questions, and the rating of responses to them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from lm_eval.api.instance import Instance

from tvmerge._util.canonical import digest
from tvmerge.errors import ConfigError
from tvmerge.records import Judgment, Question, QuestionId, Rating, Unrated
from tvmerge.tasks.lm_eval.metric import Metric
from tvmerge.tasks.lm_eval.rating import plain, rating_of
from tvmerge.tasks.lm_eval.task_errors import blamed, shown

JUDGE = "lm-eval"
"""The judge's name in judgments of tasks."""

Responses = Sequence[Sequence[Any]]
"""The responses to each request of a document, as many as the task repeats it: a text, a log-likelihood, or a
pair of log-likelihood and whether greedy decoding gives the continuation."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document of a task.

    Attributes:
        question: The document as a question, used for splitting, ordering and reports.
        content: The document in the task's own form.
        requests: The requests to the model, including prompts and examples.
    """

    question: Question
    content: Any
    requests: tuple[Instance, ...]


@dataclass(frozen=True, slots=True)
class Measured(Rating):
    """A rating that keeps the document's value for the task's own aggregation.

    Its score is nan if only all documents together have one.

    Attributes:
        value: The value of the task's metric.
    """

    value: Any = None


@dataclass(frozen=True)
class HarnessTask:
    """A task with its documents.

    Attributes:
        name: lm-eval's name of the task.
        weight: Its weight relative to other tasks and benchmarks.
        metric: The metric that rates its documents.
        documents: The documents to ask, in the task's order.
        source: The task object of lm-eval.
    """

    name: str
    weight: float
    metric: Metric
    documents: tuple[Document, ...]
    source: Any

    @property
    def questions(self) -> tuple[Question, ...]:
        """The documents as questions; the category is the task's name."""
        return tuple(document.question for document in self.documents)

    @cached_property
    def by_id(self) -> Mapping[QuestionId, Document]:
        """The documents by the id of their question."""
        return {document.question.question_id: document for document in self.documents}

    @property
    def digest(self) -> str:
        """Digest of the requests and their rating, including filters, metrics and the task's own code."""
        return digest(
            {
                "metric": [self.metric.name, self.metric.filter, self.metric.factor],
                "rating": rating_of(self.source),
                "documents": [
                    [
                        d.question.question_id,
                        d.question.reference,
                        plain(d.content),
                        [r.arguments for r in d.requests],
                    ]
                    for d in self.documents
                ],
            }
        )

    def rate(self, document: Document, responses: Responses) -> Judgment | None:
        """Rate the responses to a document; return None if the metric does not apply to it.

        A nan likelihood is not scored: the likeliest of such choices would be the first one, so a broken
        model would be right as often as the first choice is.

        Raises:
            ConfigError: The task's code fails or returns an invalid value; the message names task and
                document.
        """
        common: dict[str, Any] = {
            "question_id": document.question.question_id,
            "turn": 1,
            "judge": JUDGE,
            "prompt": f"{self.name}:{self.metric.name}",
        }
        if _has_nan(responses):
            return Unrated(**common, reason="the model's likelihood is not a number")
        kept = filtered(self.source, document, responses, self.metric.filter)
        values = values_of(self.source, document, kept)
        if self.metric.name not in values:
            return None
        value = values[self.metric.name]
        with blamed(place(document), "rating it", "fix the task's code"):
            self.metric.check(value)
            score = self.metric.alone(value)
            common["reply"] = _said(document, kept)
        if not self.metric.by_document or math.isfinite(score):
            return Measured(**common, score=score, value=value)
        if self.metric.leaves_out_nan:
            return None
        return Unrated(**common, reason=f"the metric has no value for this document: {score}")

    def aggregate(self, judgments: Iterable[Judgment]) -> float:
        """Return the task's score, by its own aggregation over the judged documents; nan without any.

        If `metric.by_document`, it is the mean of the judgments' scores.

        Raises:
            ConfigError: The aggregation fails; the message names the task.
        """
        found = [judgment for judgment in judgments if isinstance(judgment, Measured)]
        # An aggregation may depend on the order, so use the task's.
        found.sort(key=lambda judgment: self._places.get(judgment.question_id, 0))
        try:
            return self.metric.total([judgment.value for judgment in found]) if found else math.nan
        except ConfigError as error:
            raise ConfigError(f"task '{self.name}': {error}") from error

    @cached_property
    def _places(self) -> Mapping[QuestionId, int]:
        return {document.question.question_id: place for place, document in enumerate(self.documents)}


def place(document: Document) -> str:
    """Return a document's task and number, for messages."""
    task, _, number = str(document.question.question_id).rpartition("/")
    return f"task '{task}', document {number}"


def filtered(source: Any, document: Document, responses: Responses, name: str) -> list[Any]:
    """Apply a filter of an lm-eval task to the responses to each request.

    Raises:
        ConfigError: A filter fails; the message names task and document.
    """
    with blamed(place(document), "filtering what a model says", "fix filter_list in the task's file"):
        answered = [
            replace(request, resps=list(said), filtered_resps={})
            for request, said in zip(document.requests, responses, strict=True)
        ]
        for ensemble in source._filters:
            ensemble.apply(answered)
        return [request.filtered_resps[name] for request in answered]


def values_of(source: Any, document: Document, kept: Sequence[Any]) -> Mapping[str, Any]:
    """Return the values of a document by metric. The task gets a copy, since its code may change it.

    Raises:
        ConfigError: The task's code fails; the message names task and document.
    """
    with blamed(place(document), "process_results", "fix the task's code or its data"):
        values = source.process_results(deepcopy(document.content), kept)
        if not isinstance(values, Mapping):
            raise ConfigError(f"process_results gives {shown(values)}; it has to return {{metric: value}}")
        return values


def _has_nan(responses: Responses) -> bool:
    """Return whether any log-likelihood is nan."""
    found = [said[0] if isinstance(said, tuple) else said for request in responses for said in request]
    return any(isinstance(said, float) and math.isnan(said) for said in found)


def _said(document: Document, kept: Sequence[Any]) -> str:
    """Summarize a response: its text, the likeliest of the choices, or the log-likelihood."""
    if len(kept) == 1 and not isinstance(kept[0], tuple | float):
        return str(kept[0])
    logprobs = [said[0] if isinstance(said, tuple) else said for said in kept]
    best = max(range(len(kept)), key=logprobs.__getitem__)
    if len(kept) == 1:
        return f"log-likelihood {logprobs[best]:.4f}"
    return str(document.requests[best].args[1]).strip()
