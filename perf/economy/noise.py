"""Judges that change the ratings of another one: they scatter, or depend on something else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from tvmerge._util.canonical import digest
from tvmerge.protocols import Judge
from tvmerge.records import Answer, Judgment, Question, Rating

LOWEST, HIGHEST = 1.0, 10.0
"""The scale of the ratings."""


Change = Callable[[Question, Answer, Rating], float]
"""The new score of a rating."""


class ChangedJudge:
    """Changes the ratings of a judge.

    Args:
        judge: Gives the ratings.
        change: Gives the new scores.
        what: How they are changed, as plain JSON data: part of the fingerprint.
    """

    def __init__(self, judge: Judge, change: Change, what: object) -> None:
        self._judge = judge
        self._change = change
        self._what = what

    @property
    def name(self) -> str:
        """The name of the judge that is changed."""
        return self._judge.name

    @property
    def fingerprint(self) -> Mapping[str, object]:
        """That of the judge, with the change."""
        return {**self._judge.fingerprint, "changed": self._what}

    async def judge(self, question: Question, answer: Answer) -> Sequence[Judgment]:
        """Rate every turn; judgments that are no ratings stay as they are."""
        found = await self._judge.judge(question, answer)
        return [
            replace(one, score=self._change(question, answer, one)) if isinstance(one, Rating) else one
            for one in found
        ]

    async def close(self) -> None:
        """Close the judge."""
        await self._judge.close()


def noisy(judge: Judge, sd: float, seed: int) -> ChangedJudge:
    """Return a judge with a normal deviate added to each rating, rounded to a whole rating on the scale.

    The deviate depends on the seed, the question and the answer up to the turn, so the same answer always
    gets the same rating.

    Args:
        judge: Gives the ratings without noise.
        sd: Standard deviation of the noise, in points.
        seed: Seed of the noise.
    """

    def scattered(question: Question, answer: Answer, rating: Rating) -> float:
        rng = np.random.default_rng(drawn(seed, answer, rating))
        return min(HIGHEST, max(LOWEST, float(round(rating.score + sd * rng.standard_normal()))))

    return ChangedJudge(judge, scattered, ["noise", sd, seed])


def by_chance(judge: Judge, seed: int) -> ChangedJudge:
    """Return a judge whose ratings are `chance`."""
    return ChangedJudge(
        judge, lambda question, answer, rating: chance(seed, answer, rating), ["chance", seed]
    )


def chance(seed: int, answer: Answer, rating: Rating) -> float:
    """Return a rating from 1 to 10 that depends on nothing but a hash."""
    return LOWEST + drawn(seed, answer, rating) % 10


def drawn(seed: int, answer: Answer, rating: Rating) -> int:
    """Return a whole number below 2^64 that depends on the question, the turn and the answer up to it."""
    content = [seed, rating.question_id, rating.turn, list(answer.turns[: rating.turn])]
    return int(digest(content)[:16], 16)
