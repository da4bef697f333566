"""Frozen records that the stages of a run pass to each other, without behaviour or heavy imports."""

from __future__ import annotations

from tvmerge.records.candidates import (
    CUT_IN_THOUGHT,
    CUT_OFF,
    FAILURE,
    JUDGING_USD,
    MEAN,
    OVERALL,
    Evaluation,
    Outcome,
    Recipe,
    Trial,
)
from tvmerge.records.questions import (
    Answer,
    Capabilities,
    Continuation,
    Finish,
    LogLikelihood,
    Question,
    QuestionId,
    Sampling,
    Split,
)
from tvmerge.records.ratings import WHOLE, Difference, Estimate, Judgment, Rating, Unrated

__all__ = [
    "CUT_IN_THOUGHT",
    "CUT_OFF",
    "FAILURE",
    "JUDGING_USD",
    "MEAN",
    "OVERALL",
    "WHOLE",
    "Answer",
    "Capabilities",
    "Continuation",
    "Difference",
    "Estimate",
    "Evaluation",
    "Finish",
    "Judgment",
    "LogLikelihood",
    "Outcome",
    "Question",
    "QuestionId",
    "Rating",
    "Recipe",
    "Sampling",
    "Split",
    "Trial",
    "Unrated",
]
