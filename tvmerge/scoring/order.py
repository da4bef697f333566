"""The one order in which all candidates meet the questions."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from fractions import Fraction

from tvmerge._util.canonical import digest
from tvmerge.records import Question


def mixed(
    questions: Sequence[Question], seed: int, stratum: Callable[[Question], Hashable]
) -> tuple[Question, ...]:
    """The questions shuffled so that every beginning of the sequence holds each stratum in its proportion.

    A few questions then stand for all of them: within a stratum the order is random, and the strata
    take turns. The place of a question depends on the seed, on its id and on its stratum's members alone.

    Args:
        questions: In any order.
        seed: Of the shuffle.
        stratum: What a question belongs to, such as its benchmark and its category.
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
