"""Intervals of tasks whose metric is not a mean over documents.

Several modules: metrics of tasks and intervals.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from lm_eval.api.metrics import bleu, chrf, f1_score, matthews_corrcoef, mean, perplexity, ter

from tvmerge.scoring.objective import Objective, Part
from tvmerge.tasks.lm_eval.metric import Metric
from tvmerge.tasks.lm_eval.task import JUDGE, HarnessTask, Measured


def measured(values: Sequence[Any], metric: Metric) -> list[Measured]:
    return [
        Measured(f"t/{n}", 1, metric.alone(value), JUDGE, "t", value=value) for n, value in enumerate(values)
    ]


def objective(metric: Metric, documents: int) -> Objective:
    task = HarnessTask("t", 1.0, metric, (), None)
    ids = frozenset(f"t/{n}" for n in range(documents))
    part = Part("t", ids, floor=0, ceiling=1, aggregate=task.aggregate, resamples=metric.resamples)
    return Objective((part,))


@pytest.mark.parametrize("aggregation", [matthews_corrcoef, f1_score])
def test_the_difference_is_that_of_the_metric_and_not_of_right_answers(
    aggregation: Callable[..., Any],
) -> None:
    """One candidate always says the frequent label: it is right more often, and knows nothing."""
    metric = Metric("m", "none", aggregation, higher_is_better=True)
    draw = random.Random(0)
    labels = [int(draw.random() < 0.15) for _ in range(60)]
    knows = [1 - label if draw.random() < 0.2 else label for label in labels]
    first = measured(list(zip(labels, knows, strict=True)), metric)
    second = measured([(label, 0) for label in labels], metric)
    assert sum(j.score for j in first) < sum(j.score for j in second)
    own = objective(metric, 60)
    found = own.difference(first, second)
    assert found.difference == pytest.approx(own.estimate(first).mean - own.estimate(second).mean)
    assert 0 < found.low < found.difference < found.high < 1


def test_likeness_to_a_reference_is_compared_on_whole_corpora() -> None:
    metric = Metric("bleu", "none", bleu, higher_is_better=True)
    texts = [f"the {n} quick brown foxes jump over {n} lazy dogs in town" for n in range(12)]
    first = measured([([text], text) for text in texts], metric)
    second = measured([([text], text[: 30 + n]) for n, text in enumerate(texts)], metric)
    own = objective(metric, 12)
    found = own.difference(first, second)
    assert found.difference == pytest.approx(own.estimate(first).mean - own.estimate(second).mean)
    assert 0 < found.low < found.difference < found.high


@pytest.mark.parametrize(
    ("aggregation", "resamples"),
    [(mean, 10_000), (perplexity, 1_000), (matthews_corrcoef, 1_000), (bleu, 200), (chrf, 200), (ter, 200)],
)
def test_what_takes_long_is_resampled_less_often(aggregation: Callable[..., Any], resamples: int) -> None:
    assert Metric("m", "none", aggregation, higher_is_better=True).resamples == resamples
