"""The order in which all candidates are asked the questions."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from fractions import Fraction

from tvmerge._util.canonical import digest
from tvmerge.records import Question


def balanced_order(
    questions: Sequence[Question], seed: int, stratum: Callable[[Question], Hashable]
) -> tuple[Question, ...]:
    """Shuffle questions so that every prefix of the sequence has all strata in proportion.

    The first questions are then representative of all: the order within a stratum is random, and the strata
    alternate. The position of a question depends only on the seed, its id and the members of its stratum.

    Args:
        questions: In any order.
        seed: Seed of the shuffle.
        stratum: Returns the stratum of a question, such as its benchmark and category.
    """
    strata: dict[Hashable, list[Question]] = {}
    for question in questions:
        strata.setdefault(stratum(question), []).append(question)
    places: list[tuple[Fraction, str, Question]] = []
    for members in strata.values():
        ranked = sorted(members, key=lambda question: _rank(question, seed))
        places += [
            (Fraction(2 * index + 1, 2 * len(ranked)), _rank(question, seed), question)
            for index, question in enumerate(ranked)
        ]
    return tuple(question for *_, question in sorted(places, key=lambda place: place[:2]))


def _rank(question: Question, seed: int) -> str:
    return digest(["order", seed, str(question.question_id)])
