"""Divides questions into search questions and held-out questions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

from tvmerge._util.canonical import digest
from tvmerge.errors import ConfigError
from tvmerge.records import Question, QuestionId

DEFAULT_HOLDOUT = 0.3
"""Fraction held out if neither the user nor the benchmark sets it."""

Halves = tuple[tuple[Question, ...], tuple[Question, ...]]
"""Two sets of questions, both in the order of the file."""


def split(questions: Sequence[Question], holdout: float | None, seed: int) -> Halves:
    """Divide the questions into search questions and held-out questions.

    With a `holdout` of 0 none are held out. With None the `split` keys of the benchmark decide, if it has
    them. Otherwise the fraction `holdout` of each category (`DEFAULT_HOLDOUT` for None) is drawn. The total
    follows `holdout` by largest remainders, and each category keeps a question on either side. The draw
    depends only on the seed and the ids of the questions, so it is the same on every machine.

    Args:
        questions: The benchmark's questions, in order.
        holdout: Fraction to hold out, in [0, 1), or None.
        seed: Seed of the draw.

    Raises:
        ConfigError: The fraction is out of range; some lines have a `split` key and others do not; no search
            questions are left; or a category has too few questions for both sides.
    """
    if holdout is not None and not (math.isfinite(holdout) and 0 <= holdout < 1):
        raise ConfigError(f"holdout must be in [0, 1), got {holdout}")
    stated = has_split(questions)
    if holdout == 0:
        return tuple(questions), ()
    if stated and holdout is None:
        held = {question.question_id for question in questions if question.split == "holdout"}
    else:
        held = _draw(questions, DEFAULT_HOLDOUT if holdout is None else holdout, seed)
    halves = (
        tuple(question for question in questions if question.question_id not in held),
        tuple(question for question in questions if question.question_id in held),
    )
    if not halves[0]:
        raise ConfigError('every question is marked "holdout"; mark those to search on with "search"')
    return halves


def halve(questions: Sequence[Question], seed: int) -> Halves:
    """Divide held-out questions into the selection split and the test split.

    Each category is divided evenly. An odd question goes to the smaller split so far, or to the test split if
    both are equal. With a single question, the selection split is empty.

    Args:
        questions: The held-out questions, in order.
        seed: Seed of the draw.
    """
    categories: dict[str, list[Question]] = {}
    for question in questions:
        categories.setdefault(question.category, []).append(question)
    chosen: set[QuestionId] = set()
    spare = 0  # how many more questions the test split has
    for members in categories.values():
        size = (len(members) + (spare > 0)) // 2
        spare += len(members) - 2 * size
        ranked = sorted(members, key=lambda item: digest(["confirm", seed, str(item.question_id)]))
        chosen.update(question.question_id for question in ranked[:size])
    return (
        tuple(question for question in questions if question.question_id in chosen),
        tuple(question for question in questions if question.question_id not in chosen),
    )


def has_split(questions: Sequence[Question]) -> bool:
    """Return whether the benchmark defines which questions are held out.

    Raises:
        ConfigError: Some questions have a `split` key and others do not.
    """
    marked = [question.split is not None for question in questions]
    if any(marked) and not all(marked):
        odd = questions[marked.index(False)]
        raise ConfigError(
            f"question {odd.question_id} has no 'split' key although others have one; set it for all "
            "questions or for none"
        )
    return any(marked)


def _draw(questions: Sequence[Question], holdout: float, seed: int) -> set[QuestionId]:
    categories: dict[str, list[Question]] = {}
    for question in questions:
        categories.setdefault(question.category, []).append(question)
    counts = _counts({name: len(members) for name, members in categories.items()}, holdout)
    return {
        question.question_id
        for name, members in categories.items()
        for question in sorted(members, key=lambda item: _rank(item, seed))[: counts[name]]
    }


def _rank(question: Question, seed: int) -> str:
    return digest(["holdout", seed, str(question.question_id)])


def _counts(sizes: Mapping[str, int], holdout: float) -> dict[str, int]:
    """Return how many questions of each category to hold out, by largest remainders in [1, size - 1]."""
    for name, size in sizes.items():
        if size < 2:
            raise ConfigError(
                f"category '{name}' has 1 question and cannot be in both halves; "
                "add another, mark every line with a 'split' key, or hold nothing out (--holdout 0)"
            )
    # In decimal: 0.29 of 100 is 29, not 28.999... as with binary fractions.
    share = Fraction(repr(holdout))
    quotas = {name: size * share for name, size in sizes.items()}
    counts = {name: min(max(math.floor(quotas[name]), 1), size - 1) for name, size in sizes.items()}
    total = math.floor(sum(quotas.values()) + Fraction(1, 2))
    total = min(max(total, len(sizes)), sum(sizes.values()) - len(sizes))
    while sum(counts.values()) < total:
        open_names = [name for name in sizes if counts[name] < sizes[name] - 1]
        counts[max(open_names, key=lambda name: quotas[name] - counts[name])] += 1
    while sum(counts.values()) > total:
        open_names = [name for name in sizes if counts[name] > 1]
        counts[min(open_names, key=lambda name: quotas[name] - counts[name])] -= 1
    return counts
