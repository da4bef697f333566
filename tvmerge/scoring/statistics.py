"""Means of ratings, their standard errors and their coverage.

The mean pools judgments, as FastChat does. Its uncertainty goes by question: the turns of a question, and
repeated samples of it, are not independent, so questions are the clusters. Only ratings count; a
judgment without a rating lowers the coverage and enters no mean.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from tvmerge.records import Answer, Estimate, Finish, Judgment, Question, QuestionId, Rating, Unrated

_Key = TypeVar("_Key", int, str)


def estimate(judgments: Iterable[Judgment]) -> Estimate:
    """Pooled mean of the ratings and its standard error with questions as clusters.

    With S_q the sum and k_q the number of question q's ratings and m = sum S_q / sum k_q, the standard
    error is that of a ratio estimator, sqrt(n / (n - 1) * sum (S_q - m k_q)^2) / sum k_q (Cochran, Sampling
    Techniques, 3rd edition, chapter 6, without the finite population correction).

    Returns:
        mean is nan without a rating; se is nan with fewer than two questions.
    """
    sums = totals(judgments).values()
    n = len(sums)
    if n == 0:
        return Estimate(math.nan, math.nan, 0)
    count = sum(k for _, k in sums)
    mean = math.fsum(s for s, _ in sums) / count
    if n == 1:
        return Estimate(mean, math.nan, 1)
    squares = math.fsum((s - mean * k) ** 2 for s, k in sums)
    return Estimate(mean, math.sqrt(n / (n - 1) * squares) / count, n)


def finish_share(answers: Iterable[Answer], how: Finish) -> float:
    """Return the fraction of answered turns that ended in this way, in [0, 1]; 0 without any."""
    counts = [(answer.finish.count(how), len(answer.turns)) for answer in answers]
    turns = sum(turns for _, turns in counts)
    return sum(count for count, _ in counts) / turns if turns else 0.0


def coverage(judgments: Sequence[Judgment]) -> float:
    """Return the fraction of judgments with a rating, in [0, 1]; 0 without judgments."""
    if not judgments:
        return 0.0
    return sum(isinstance(judgment, Rating) for judgment in judgments) / len(judgments)


def most_common_reason(judgments: Iterable[Judgment]) -> str:
    """Return the most common reason for a missing rating; empty if none is missing."""
    reasons = Counter(judgment.reason for judgment in judgments if isinstance(judgment, Unrated))
    return reasons.most_common(1)[0][0] if reasons else ""


def most_common_remedy(judgments: Iterable[Judgment]) -> str:
    """Return the remedy for most missing ratings if the judge is the cause; else empty."""
    cures = Counter(judgment.remedy for judgment in judgments if isinstance(judgment, Unrated))
    return cures.most_common(1)[0][0] if cures else ""


def why_silent(judgments: Iterable[Judgment]) -> str:
    """Return the remedy for a judge that rated nothing, if the answers are not the cause; else empty.

    Other candidates would not be rated either, so their judgments would be paid for in vain.
    """
    by_judge: dict[str, list[Judgment]] = {}
    for judgment in judgments:
        by_judge.setdefault(judgment.judge, []).append(judgment)
    for judge, own in by_judge.items():
        remedy = most_common_remedy(j for j in own if isinstance(j, Unrated) and j.remedy)
        if remedy and not any(isinstance(judgment, Rating) for judgment in own):
            return f"judge {judge} rated nothing; the most common reason: {most_common_reason(own)}: {remedy}"
    return ""


def shortfall(judgments: Sequence[Judgment], min_coverage: float) -> str:
    """Return why too few of the judgments are ratings; empty if enough are.

    Args:
        judgments: All judgments of a candidate, with a rating or without.
        min_coverage: Minimum fraction that must be ratings, in [0, 1].

    Returns:
        The fraction and the most common reason, as a sentence without a full stop.
    """
    covered = coverage(judgments)
    if covered > 0 and covered >= min_coverage:
        return ""
    fault = most_common_reason(judgments) or "nothing was judged"
    return f"{covered:.0%} of the judgments gave a rating; the most common reason: {fault}"


def by_turn(judgments: Iterable[Judgment]) -> dict[int, Estimate]:
    """Return an estimate for each turn that has a rating, in order of turns."""
    groups: dict[int, list[Judgment]] = {}
    for judgment in judgments:
        groups.setdefault(judgment.turn, []).append(judgment)
    return _estimates({turn: groups[turn] for turn in sorted(groups)})


def by_category(judgments: Iterable[Judgment], questions: Iterable[Question]) -> dict[str, Estimate]:
    """Return an estimate for each category that has a rating, in order of the questions.

    Judgments of questions that are not among `questions` are left out.
    """
    category = {question.question_id: question.category for question in questions}
    groups: dict[str, list[Judgment]] = {name: [] for name in category.values()}
    for judgment in judgments:
        if judgment.question_id in category:
            groups[category[judgment.question_id]].append(judgment)
    return _estimates(groups)


def ratings_by_question(judgments: Iterable[Judgment]) -> dict[QuestionId, list[Rating]]:
    """Return the ratings of each question that has one."""
    found: dict[QuestionId, list[Rating]] = {}
    for judgment in judgments:
        if isinstance(judgment, Rating):
            found.setdefault(judgment.question_id, []).append(judgment)
    return found


def totals(judgments: Iterable[Judgment]) -> dict[QuestionId, tuple[float, int]]:
    """Sum and number of the ratings of each question that has one with its own score."""
    scores = {
        key: [rating.score for rating in ratings if not math.isnan(rating.score)]
        for key, ratings in ratings_by_question(judgments).items()
    }
    return {key: (math.fsum(found), len(found)) for key, found in scores.items() if found}


def _estimates(groups: Mapping[_Key, Sequence[Judgment]]) -> dict[_Key, Estimate]:
    estimates = {key: estimate(group) for key, group in groups.items()}
    return {key: value for key, value in estimates.items() if value.n}
