"""Judgments for the tests of what is computed from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tvmerge.records import Judgment, Question, QuestionId, Rating, Unrated

Ratings = Mapping[QuestionId, Sequence[float | None]]
"""By question: a rating per turn; None where the judge gave none."""


def judgments(ratings: Ratings) -> list[Judgment]:
    found: list[Judgment] = []
    for question, turns in ratings.items():
        for turn, score in enumerate(turns, start=1):
            if score is None:
                found.append(Unrated(question, turn, "judge", "p", "no rating"))
            else:
                found.append(Rating(question, turn, score, "judge", "p"))
    return found


def ratings(clusters: Sequence[Sequence[float]]) -> list[Judgment]:
    """One question a cluster, its scores as its turns."""
    return [
        Rating(question_id, turn, score, "j", "p")
        for question_id, scores in enumerate(clusters)
        for turn, score in enumerate(scores, start=1)
    ]


def unscored(question_id: int, turn: int = 1, reason: str = "no rating") -> Judgment:
    return Unrated(question_id, turn, "j", "p", reason)


def questions(sizes: Mapping[str, int]) -> list[Question]:
    """Questions with their categories interleaved."""
    names = [name for index in range(max(sizes.values())) for name, size in sizes.items() if index < size]
    return [Question(number, name, ("?",)) for number, name in enumerate(names, start=1)]
