"""A task of lm-eval: its documents as questions, and how what a model says of them is rated."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from lm_eval.api.instance import Instance

from tvmerge.canonical import digest
from tvmerge.evaluation.harness.metric import Metric
from tvmerge.evaluation.harness.rating import plain, rating_of
from tvmerge.records import Judgment, Question, QuestionId, Unscored, Verdict

JUDGE = "lm-eval"
"""The judge's name in judgments of tasks."""

Responses = Sequence[Sequence[Any]]
"""What a model says to each request of a document, as often as the task repeats it: text, log-likelihood
(a number), or log-likelihood and whether greedy decoding would say just this (a pair)."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a task.

    Attributes:
        question: The document for people, and for whoever divides and orders documents.
        content: The document as the task has it.
        requests: What a model is asked, prompts and examples included.
    """

    question: Question
    content: Any
    requests: tuple[Instance, ...]


@dataclass(frozen=True, slots=True)
class Measured(Verdict):
    """A verdict that keeps what the task's own aggregation takes of the document.

    Attributes:
        value: The value of the task's metric, as the task gives it.
    """

    value: Any = None


@dataclass(frozen=True)
class HarnessTask:
    """A task with its documents.

    Attributes:
        name: lm-eval's name of it.
        weight: Its weight beside other tasks and benchmarks.
        metric: How documents are rated.
        documents: Those asked, in the task's order.
        source: The task of lm-eval.
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
        """Digest of what is asked and how it is rated: filters, metrics and the task's own code included."""
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

    def rate(self, document: Document, responses: Responses) -> Judgment:
        """The judgment of what a model says of a document.

        A likelihood that is not a number is no score: the likeliest of such choices is the first one, so a
        broken model would be right as often as the first choice is.
        """
        common: dict[str, Any] = {
            "question_id": document.question.question_id,
            "turn": 1,
            "judge": JUDGE,
            "prompt": f"{self.name}:{self.metric.name}",
        }
        if _has_nan(responses):
            return Unscored(**common, reason="the model's likelihood is not a number")
        answered = [
            replace(request, resps=list(said), filtered_resps={})
            for request, said in zip(document.requests, responses, strict=True)
        ]
        for ensemble in self.source._filters:
            ensemble.apply(answered)
        kept = [request.filtered_resps[self.metric.filter] for request in answered]
        value = self.source.process_results(document.content, kept)[self.metric.name]
        score = self.metric.alone(value)
        common["reply"] = _said(document, kept)
        if not math.isfinite(score):
            return Unscored(**common, reason=f"the metric has no value for this document: {score}")
        return Measured(**common, score=score, value=value)

    def aggregate(self, judgments: Iterable[Judgment]) -> float:
        """The task's score by its own aggregation over the documents judged; nan without any.

        Where `metric.by_document` it is the mean of the judgments' scores.
        """
        values = [judgment.value for judgment in judgments if isinstance(judgment, Measured)]
        return self.metric.score(self.metric.aggregation(values)) if values else math.nan


def _has_nan(responses: Responses) -> bool:
    """Whether a log-likelihood is not a number."""
    found = [said[0] if isinstance(said, tuple) else said for request in responses for said in request]
    return any(isinstance(said, float) and math.isnan(said) for said in found)


def _said(document: Document, kept: Sequence[Any]) -> str:
    """What a model said, in a few words: its text, the likeliest of the choices, or the log-likelihood."""
    if len(kept) == 1 and not isinstance(kept[0], tuple | float):
        return str(kept[0])
    logprobs = [said[0] if isinstance(said, tuple) else said for said in kept]
    best = max(range(len(kept)), key=logprobs.__getitem__)
    if len(kept) == 1:
        return f"log-likelihood {logprobs[best]:.4f}"
    return str(document.requests[best].args[1]).strip()
