"""Candidates: their weights, what they answered, and what a study knows of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from tvmerge.records.questions import Answer
from tvmerge.records.ratings import Judgment

OVERALL = "overall"
"""Trial attribute: the weighted score where the study itself maximises several."""

CUT_OFF = "cut_off"
"""Trial attribute: share of the turns answered that ended at the token limit."""

CUT_IN_THOUGHT = "cut_in_thought"
"""Trial attribute: share of the turns answered that ended while the model was still thinking."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to make a candidate: a weight for every group of tensors.

    Attributes:
        weights: Group name (`embeddings`, `layers.3`, `norm`, ...) to the weight of its task vector.
    """

    weights: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # A recipe is a value: nobody may change the mapping it was made from behind its back.
        object.__setattr__(self, "weights", MappingProxyType(dict(self.weights)))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One candidate's answers to a set of questions and what the judge said of them, in question order.

    Attributes:
        recipe: The candidate.
        rated: Its answers, each with its judgments.
        stopped: It was stopped before it had answered all questions.
        failure: Why the candidate is not a model that could answer; empty where it is one.
    """

    recipe: Recipe
    rated: tuple[tuple[Answer, tuple[Judgment, ...]], ...] = ()
    stopped: bool = False
    failure: str = ""

    @property
    def answers(self) -> tuple[Answer, ...]:
        """The answers."""
        return tuple(answer for answer, _ in self.rated)

    @property
    def judgments(self) -> tuple[Judgment, ...]:
        """The judgments of all answers."""
        return tuple(judgment for _, judgments in self.rated for judgment in judgments)


@dataclass(frozen=True, slots=True)
class Trial:
    """One candidate of a study.

    Attributes:
        number: Its place in the study, from 0.
        recipe: Its weights.
        value: Its score, the first of several; None while it runs and where it failed. Where it was stopped
            early, the estimate of its score.
        state: Optuna's name of its state: RUNNING, COMPLETE, PRUNED (stopped early) or FAIL.
        attrs: What was recorded with the score (`se`, `n`, `coverage`, ...), as plain JSON data.
        values: Its scores, one an objective, the higher the better; made of `value` where there is just one.
    """

    number: int
    recipe: Recipe
    value: float | None = None
    state: str = "RUNNING"
    attrs: Mapping[str, Any] = field(default_factory=dict)
    values: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _values(self.value, self.values))

    @property
    def overall(self) -> float | None:
        """Its score over all objectives: the weighted mean where the study maximises several."""
        found = self.attrs.get(OVERALL, self.value)
        return None if found is None else float(found)

    @property
    def told(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.state not in {"RUNNING", "WAITING"}

    @property
    def scored(self) -> bool:
        """Whether it has answered every question and has a score: only such a trial can be the best."""
        return self.state == "COMPLETE"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a study is told of a candidate.

    Attributes:
        value: The score, the first of several, or None where too few judgments gave one: the trial fails.
        attrs: What to record with it, as plain JSON data.
        stopped: The candidate was stopped early; `value` estimates what its score would have been, and
            `attrs["questions"]` says how many questions the estimate is made of.
        values: The scores, one an objective, the higher the better; made of `value` where there is just one.
    """

    value: float | None
    attrs: Mapping[str, Any] = field(default_factory=dict)
    stopped: bool = False
    values: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _values(self.value, self.values))

    @property
    def state(self) -> Literal["COMPLETE", "PRUNED"]:
        """The state of the trial once it is told, in Optuna's terms, where it did not fail."""
        return "PRUNED" if self.stopped else "COMPLETE"


def _values(value: float | None, values: tuple[float, ...]) -> tuple[float, ...]:
    """The scores of a trial, whose first is `value`."""
    return values or (() if value is None else (value,))
