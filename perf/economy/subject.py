"""What is searched: models, their settings, and questions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from examples.demo.generate import BENCHMARK, fresh_questions
from tvmerge.config.demo import demo_defaults
from tvmerge.protocols import Judge
from tvmerge.records import Question

TRUTH_SEED = 40_000
"""Seed of the fresh questions of the truth; the questions of a search have its own."""

Questions = Callable[[int, int], Iterable[Question]]
"""So many questions of a seed."""


def unchanged(judge: Judge) -> Judge:
    """Return the judge itself."""
    return judge


@dataclass(frozen=True)
class Subject:
    """Models and questions to search with.

    Attributes:
        name: The name.
        settings: Settings of a run, by the keys of `RunConfig`.
        benchmark: The text of `benchmark.toml`.
        questions: Draws the questions of a search.
        fresh: Draws the questions of the truth.
        searched: Makes the judge of a search from the judge by rules.
        true: Makes the judge of the truth from the judge by rules.
    """

    name: str
    settings: Mapping[str, Any]
    benchmark: str
    questions: Questions
    fresh: Questions
    searched: Callable[[Judge], Judge] = unchanged
    true: Callable[[Judge], Judge] = unchanged


def demo() -> Subject:
    """The demo's models, with questions from its generator."""
    benchmark = (BENCHMARK.parent / "benchmark.toml").read_text(encoding="utf-8")
    return Subject("demo", demo_defaults(), benchmark, fresh_questions, fresh_questions)
