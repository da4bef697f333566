"""Candidates whose ratings are known beforehand: a pool and a judge in one, for what is between them."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Sequence

from tvmerge.records import (
    Answer,
    Continuation,
    Judgment,
    LogLikelihood,
    Question,
    QuestionId,
    Rating,
    Recipe,
    Sampling,
    Unrated,
)

Rate = Callable[[Recipe, Question], float | None]
"""A candidate's rating on a question; None where the judge is to give none."""


class Table:
    """Answers with a rating, and rates by the answer; implements `Pool` and `Judge`.

    Attributes:
        judged: The questions whose answers were judged, in order.
    """

    name = "table"

    def __init__(self, rate: Rate) -> None:
        self.fingerprint: dict[str, object] = {}
        self.judged: list[QuestionId] = []
        self._rate = rate

    async def answer(
        self, recipe: Recipe, questions: Sequence[Question], sampling: Sampling, *, wave: int | None = None
    ) -> AsyncGenerator[tuple[Answer, ...], None]:
        """The ratings, one after another."""
        for question in questions:
            yield (Answer(question.question_id, (json.dumps(self._rate(recipe, question)),)),)

    async def loglikelihood(self, recipe: Recipe, pairs: Sequence[Continuation]) -> Sequence[LogLikelihood]:
        """Nobody asks for it."""
        raise NotImplementedError

    async def judge(self, question: Question, answer: Answer) -> Sequence[Judgment]:
        """The answer is its rating."""
        self.judged.append(question.question_id)
        score = json.loads(answer.turns[0])
        if score is None:
            return [Unrated(question.question_id, 1, self.name, "p", "no rating")]
        return [Rating(question.question_id, 1, score, self.name, "p")]

    async def close(self) -> None:
        """Nothing to free."""
