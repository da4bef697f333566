"""A judge whose ratings scatter, for searches with a noisy judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tvmerge._util.canonical import digest
from tvmerge.protocols import Judge
from tvmerge.records import Answer, Judgment, Question, Rating

LOWEST, HIGHEST = 1.0, 10.0
"""The scale of the ratings."""


class NoisyJudge:
    """Adds a normal deviate to each rating, and rounds to a whole rating on the scale.

    The deviate depends on the seed, the question and the answer up to the turn, so the same answer always
    gets the same rating.

    Args:
        judge: Gives the ratings without noise.
        sd: Standard deviation of the noise, in points.
        seed: Seed of the noise.
    """

    def __init__(self, judge: Judge, sd: float, seed: int) -> None:
        self._judge = judge
        self._sd = sd
        self._seed = seed

    @property
    def name(self) -> str:
        """The name of the judge without noise."""
        return self._judge.name

    @property
    def fingerprint(self) -> Mapping[str, object]:
        """That of the judge, with the noise."""
        return {**self._judge.fingerprint, "noise": [self._sd, self._seed]}

    async def judge(self, question: Question, answer: Answer) -> Sequence[Judgment]:
        """Rate every turn; judgments that are no ratings stay as they are."""
        found = await self._judge.judge(question, answer)
        return [self._scattered(one, answer) if isinstance(one, Rating) else one for one in found]

    async def close(self) -> None:
        """Close the judge."""
        await self._judge.close()

    def _scattered(self, rating: Rating, answer: Answer) -> Rating:
        content = [self._seed, rating.question_id, rating.turn, list(answer.turns[: rating.turn])]
        rng = np.random.default_rng(int(digest(content)[:16], 16))
        score = round(rating.score + self._sd * rng.standard_normal())
        return replace(rating, score=min(HIGHEST, max(LOWEST, float(score))))
