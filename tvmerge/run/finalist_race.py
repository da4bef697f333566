"""Which finalists go on answering the selection split: those clearly behind stop after a part of it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise

from tvmerge.records import Evaluation, Question
from tvmerge.scoring.objective import Objective
from tvmerge.scoring.order import balanced_order

PARTS = 4
"""The most parts of the selection split; after each, finalists are compared."""

FEWEST = 8
"""The fewest questions of a part."""

BEHIND = 1.0
"""Standard errors of the mean difference by which a finalist is clearly behind the best one."""


def parts_of(
    questions: Sequence[Question], objective: Objective, seed: int
) -> tuple[tuple[Question, ...], ...]:
    """Divide the selection split into parts that all finalists answer in this order.

    There is one part if single questions have no score.

    Args:
        questions: The selection split.
        objective: The objective that is maximised.
        seed: Seed of the order; each part has all categories in proportion.
    """
    count = min(PARTS, len(questions) // FEWEST) if objective.by_question else 1
    if count < 2:
        return (tuple(questions),) if questions else ()
    ordered = balanced_order(questions, seed, lambda question: question.category)
    bounds = [round(len(ordered) * index / count) for index in range(count + 1)]
    return tuple(ordered[start:stop] for start, stop in pairwise(bounds))


def clearly_behind(
    best: Evaluation, other: Evaluation, objective: Objective, asked: Sequence[Question]
) -> bool:
    """Whether a finalist scores less than the best one by more than `BEHIND` paired standard errors.

    The test split has no part in this, so nothing reported depends on when finalists stop.

    Args:
        best: The evaluation of the best one.
        other: That of the finalist.
        objective: The objective that is maximised.
        asked: The questions that both answered.
    """
    ours, theirs = (objective.contributions(found.judgments, asked) for found in (best, other))
    gaps = [ours[key] - theirs[key] for key in ours if key in theirs]
    if len(gaps) < 2:
        return False
    return statistics.fmean(gaps) > BEHIND * statistics.stdev(gaps) / math.sqrt(len(gaps))
