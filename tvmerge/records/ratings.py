"""Records of judgments, and of the statistics computed from them."""

from __future__ import annotations

from dataclasses import dataclass

from tvmerge.records.questions import QuestionId

WHOLE = "no score of its own: the metric is of all documents together"
"""The explanation shown and stored for a rating whose score is nan."""


@dataclass(frozen=True, slots=True)
class Rating:
    """A judge's rating of one turn of an answer.

    Attributes:
        question_id: The question.
        turn: The turn judged, from 1.
        score: The rating, on the prompt's scale (1 to 10 for the shipped ones); nan if only all questions
            together have a score.
        judge: The judge model's name.
        prompt: The name of the judge prompt, or of the rule set.
        user_prompt: The prompt that the judge was sent.
        reply: The judge's whole reply.
        sample: Which of several samples of the judge's rating this is, from 0.
        note: Why no judge was asked (`empty answer`, `refused by the provider`), or an empty string.
    """

    question_id: QuestionId
    turn: int
    score: float
    judge: str
    prompt: str
    user_prompt: str = ""
    reply: str = ""
    sample: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Unrated:
    """A judgment without a rating; a separate type, so that no mean can include it by mistake.

    Attributes:
        reason: Why there is no rating, in a few words.
        remedy: How the user can fix it, if the judge is the cause; empty if the answer is.
    """

    question_id: QuestionId
    turn: int
    judge: str
    prompt: str
    reason: str
    user_prompt: str = ""
    reply: str = ""
    sample: int = 0
    remedy: str = ""


Judgment = Rating | Unrated


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its uncertainty.

    Attributes:
        mean: Mean over all judgments, pooled as FastChat pools them.
        se: Standard error of the mean, clustered by question because a question's turns are not independent;
            nan with fewer than two questions.
        n: Number of questions.
    """

    mean: float
    se: float
    n: int


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference of two means over the same questions, with its confidence interval.

    Attributes:
        difference: Mean of the first minus mean of the second; nan without a common question.
        low: Lower bound; nan with fewer than two questions.
        high: Upper bound; nan with fewer than two questions.
        n: Number of questions with a rating on both sides.
    """

    difference: float
    low: float
    high: float
    n: int
