"""Whether a run says that it compares candidates less well on the smaller of two benchmarks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tvmerge.records import Question
from tvmerge.run.unlike import unlike_remarks
from tvmerge.scoring.objective import Objective, Part

CHAT, TASK = frozenset(range(6)), frozenset(range(10, 70))
QUESTIONS = [Question(number, "any", ("?",)) for number in (*CHAT, *TASK)]


def run(sampler: str, *parts: Part) -> Any:
    config = SimpleNamespace(optuna_sampler=sampler)
    return SimpleNamespace(config=config, objective=Objective(parts), search_questions=QUESTIONS)


def test_a_small_benchmark_beside_a_large_one_is_told() -> None:
    (line,) = unlike_remarks(run("auto", Part("chat", CHAT), Part("task", TASK)))
    assert line.startswith("note: beside task, chat has few search questions for its weight")
    assert "--optuna-sampler TPE" in line


@pytest.mark.parametrize(
    ("sampler", "weight"), [("TPE", 1.0), ("auto", 0.1)], ids=["whole trials", "weights like the sizes"]
)
def test_where_it_does_not_matter_nothing_is_said(sampler: str, weight: float) -> None:
    assert not unlike_remarks(run(sampler, Part("chat", CHAT, weight=weight), Part("task", TASK)))
