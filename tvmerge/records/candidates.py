"""Records of candidates: their weights, their answers and their trials in a study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from tvmerge.records.questions import Answer
from tvmerge.records.ratings import Judgment

OVERALL = "overall"
"""Trial attribute: the weighted score, set when the study maximises several objectives."""

FAILURE = "failure"
"""Trial attribute: why a trial has no score."""

MEAN = "mean"
"""Trial attribute: the expected score, where the trial's value is what it is likely to be at least."""

CUT_OFF = "cut_off"
"""Trial attribute: fraction of answered turns that ended at the token limit."""

CUT_IN_THOUGHT = "cut_in_thought"
"""Trial attribute: fraction of answered turns that ended while the model was still thinking."""

JUDGING_USD = "judging_usd"
"""Trial attribute: what judging its answers cost in USD, whether it was paid for in this study or before."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """The weights of a candidate, one for every group of tensors.

    Attributes:
        weights: Maps a group name (`embeddings`, `layers.3`, `norm`, ...) to the weight of its task vector.
    """

    weights: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Copied, so that later changes of the caller's mapping do not change the recipe.
        object.__setattr__(self, "weights", MappingProxyType(dict(self.weights)))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One candidate's answers to a set of questions and their judgments, in question order.

    Attributes:
        recipe: The candidate.
        rated: Its answers, each with its judgments.
        stopped: Whether it was stopped before it had answered all questions.
        failure: Why the candidate gives no usable model; empty if it does.
        usd: What the judgments cost in USD, whether paid for now or before; 0 if that was not measured.
    """

    recipe: Recipe
    rated: tuple[tuple[Answer, tuple[Judgment, ...]], ...] = ()
    stopped: bool = False
    failure: str = ""
    usd: float = 0.0

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
        number: Its number in the study, from 0.
        recipe: Its weights.
        value: Its score, the first of several; None while it runs and if it failed. If it was stopped
            early, an estimate of its score.
        state: Its state in Optuna's terms: RUNNING, COMPLETE, PRUNED (stopped early) or FAIL.
        attrs: What was recorded with the score (`se`, `n`, `coverage`, ...), as plain JSON data.
        values: Its scores, one per objective, higher is better; taken from `value` if there is only one.
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
        """Its score over all objectives: the weighted mean if the study maximises several."""
        found = self.attrs.get(OVERALL, self.value)
        return None if found is None else float(found)

    @property
    def told(self) -> bool:
        """Whether it has ended, in any state."""
        return self.state not in {"RUNNING", "WAITING"}

    @property
    def scored(self) -> bool:
        """Whether it has answered every question and has a score. Only such a trial can be the best."""
        return self.state == "COMPLETE"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a study is told about a candidate.

    Attributes:
        value: The score, the first of several; None if too few judgments gave one, so that the trial fails.
        attrs: What to record with it, as plain JSON data.
        stopped: Whether the candidate was stopped early. Then `value` estimates the score it would have had,
            from `attrs["questions"]` questions.
        values: The scores, one per objective, higher is better; taken from `value` if there is only one.
    """

    value: float | None
    attrs: Mapping[str, Any] = field(default_factory=dict)
    stopped: bool = False
    values: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _values(self.value, self.values))

    @property
    def state(self) -> Literal["COMPLETE", "PRUNED"]:
        """The state of the trial after `tell`, in Optuna's terms, unless it failed."""
        return "PRUNED" if self.stopped else "COMPLETE"


def _values(value: float | None, values: tuple[float, ...]) -> tuple[float, ...]:
    """Return the scores of a trial, of which `value` is the first."""
    return values or (() if value is None else (value,))
