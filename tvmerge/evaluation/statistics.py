"""Means of ratings and how far they can be trusted.

The mean pools judgments, as FastChat does. Its uncertainty goes by question: the turns of a question, and
repeated samples of it, are not independent, so questions are the clusters. Only verdicts count; a
judgment without a rating lowers the coverage and enters no mean.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, TypeVar

from tvmerge.records import Difference, Estimate, Judgment, Question, QuestionId, Unscored, Verdict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_Key = TypeVar("_Key", int, str)
_CHUNK = 1 << 21  # question draws held in memory at once: 16 MiB


def estimate(judgments: Iterable[Judgment]) -> Estimate:
    """Pooled mean of the verdicts and its standard error with questions as clusters.

    With S_q the sum and k_q the number of question q's verdicts and m = sum S_q / sum k_q, the standard
    error is that of a ratio estimator, sqrt(n / (n - 1) * sum (S_q - m k_q)^2) / sum k_q (Cochran, Sampling
    Techniques, 3rd edition, chapter 6, without the finite population correction).

    Returns:
        mean is nan without a verdict; se is nan with fewer than two questions.
    """
    totals = _totals(judgments)
    n = len(totals)
    if n == 0:
        return Estimate(math.nan, math.nan, 0)
    count = sum(k for _, k in totals.values())
    mean = math.fsum(s for s, _ in totals.values()) / count
    if n == 1:
        return Estimate(mean, math.nan, 1)
    squares = math.fsum((s - mean * k) ** 2 for s, k in totals.values())
    return Estimate(mean, math.sqrt(n / (n - 1) * squares) / count, n)


def coverage(judgments: Sequence[Judgment]) -> float:
    """Share of judgments with a rating, in [0, 1]; 0 where there are no judgments."""
    if not judgments:
        return 0.0
    return sum(isinstance(judgment, Verdict) for judgment in judgments) / len(judgments)


def commonest_fault(judgments: Iterable[Judgment]) -> str:
    """Why most of what was not rated was not, the first of equals; an empty string where all was."""
    reasons = Counter(judgment.reason for judgment in judgments if isinstance(judgment, Unscored))
    return reasons.most_common(1)[0][0] if reasons else ""


def shortfall(judgments: Sequence[Judgment], min_coverage: float) -> str:
    """Why a mean of `judgments` would say too little, or an empty string where it would not.

    Args:
        judgments: All judgments of a candidate, with a rating or without.
        min_coverage: The share that must have one, in [0, 1].

    Returns:
        The share and the commonest fault, in a sentence without its full stop.
    """
    covered = coverage(judgments)
    if covered > 0 and covered >= min_coverage:
        return ""
    fault = commonest_fault(judgments) or "nothing was judged"
    return f"{covered:.0%} of the judgments gave a rating; the commonest reason: {fault}"


def by_turn(judgments: Iterable[Judgment]) -> dict[int, Estimate]:
    """An estimate for each turn that has a verdict, in order of turns."""
    groups: dict[int, list[Judgment]] = {}
    for judgment in judgments:
        groups.setdefault(judgment.turn, []).append(judgment)
    return _estimates({turn: groups[turn] for turn in sorted(groups)})


def by_category(judgments: Iterable[Judgment], questions: Iterable[Question]) -> dict[str, Estimate]:
    """An estimate for each category that has a verdict, in order of the questions.

    Judgments of questions that are not among `questions` are left out.
    """
    category = {question.question_id: question.category for question in questions}
    groups: dict[str, list[Judgment]] = {name: [] for name in category.values()}
    for judgment in judgments:
        if judgment.question_id in category:
            groups[category[judgment.question_id]].append(judgment)
    return _estimates(groups)


def paired_interval(
    a: Iterable[Judgment],
    b: Iterable[Judgment],
    *,
    level: float = 0.95,
    seed: int = 0,
    resamples: int = 10_000,
) -> Difference:
    """Difference of two candidates' pooled means over the questions both have a verdict of.

    The interval is a paired bootstrap over questions: each resample draws questions with replacement and
    takes both candidates' verdicts of them, so what makes a question easy cancels. The percentiles are
    expanded for small samples, where plain ones are too narrow by sqrt((n - 1) / n) and use a normal
    quantile where Student's t is due (Hesterberg, What Teachers Should Know About the Bootstrap, 2015).

    Args:
        a: One candidate's judgments.
        b: The other's.
        level: Confidence level, in (0, 1).
        seed: Of the resampling; the same input gives the same interval.
        resamples: Number of bootstrap resamples.
    """
    return weighted_interval([(1.0, a, b)], level=level, seed=seed, resamples=resamples)


def weighted_interval(
    strata: Sequence[tuple[float, Iterable[Judgment], Iterable[Judgment]]],
    *,
    level: float = 0.95,
    seed: int = 0,
    resamples: int = 10_000,
) -> Difference:
    """A weighted sum of `paired_interval`'s differences over several sets of questions.

    Each set is resampled for itself, as the numbers of its questions are no accident (stratified bootstrap).

    Args:
        strata: Of each set of questions: its weight, one candidate's judgments, the other's.
        level: Confidence level, in (0, 1).
        seed: Of the resampling.
        resamples: Number of bootstrap resamples.

    Returns:
        The difference is nan where a set has no question that both have a verdict of.
    """
    tables = [(weight, _paired_totals(a, b)) for weight, a, b in strata]
    n = sum(len(rows) for _, rows in tables)
    if any(not rows for _, rows in tables):
        return Difference(math.nan, math.nan, math.nan, n)
    difference = math.fsum(weight * _ratio_difference(rows) for weight, rows in tables)
    if n == len(tables):
        return Difference(difference, math.nan, math.nan, n)
    draws = [
        weight * _bootstrap(rows, [seed, index], resamples) for index, (weight, rows) in enumerate(tables)
    ]
    tail = _expanded_tail(level, n - len(tables) + 1)
    low, high = _percentiles(sum(draws[1:], start=draws[0]), tail)
    return Difference(difference, low, high, n)


def _paired_totals(a: Iterable[Judgment], b: Iterable[Judgment]) -> list[tuple[float, int, float, int]]:
    """Both candidates' sums and numbers of verdicts, a row for each question with verdicts on both sides."""
    first, second = _totals(a), _totals(b)
    # Sorted, so that the order in which judgments came in does not reach the resampling.
    common = sorted((key for key in first if key in second), key=str)
    return [(*first[key], *second[key]) for key in common]


def _ratio_difference(rows: Sequence[tuple[float, int, float, int]]) -> float:
    sums = [math.fsum(column) for column in zip(*rows, strict=True)]
    return sums[0] / sums[1] - sums[2] / sums[3]


def _totals(judgments: Iterable[Judgment]) -> dict[QuestionId, tuple[float, int]]:
    """Sum and number of the verdicts of each question that has one."""
    scores: dict[QuestionId, list[float]] = {}
    for judgment in judgments:
        if isinstance(judgment, Verdict):
            scores.setdefault(judgment.question_id, []).append(judgment.score)
    return {key: (math.fsum(values), len(values)) for key, values in scores.items()}


def _estimates(groups: Mapping[_Key, Sequence[Judgment]]) -> dict[_Key, Estimate]:
    estimates = {key: estimate(group) for key, group in groups.items()}
    return {key: value for key, value in estimates.items() if value.n}


def _bootstrap(
    rows: Sequence[tuple[float, int, float, int]], seed: Sequence[int], resamples: int
) -> NDArray[np.float64]:
    """Differences of ratio means for `resamples` draws of questions, shape (resamples,)."""
    import numpy as np

    data = np.asarray(rows, dtype=np.float64)
    n = len(data)
    rng = np.random.default_rng(seed)
    step = max(1, _CHUNK // n)
    parts: list[NDArray[np.float64]] = []
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        drawn = rng.integers(0, n, size=(size, n)) + n * np.arange(size)[:, None]
        # How often each resample holds each question: sums over a resample become one small product.
        times = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)
        sums = times.astype(np.float64) @ data
        parts.append(sums[:, 0] / sums[:, 1] - sums[:, 2] / sums[:, 3])
    return np.concatenate(parts)


def _percentiles(values: NDArray[np.float64], tail: float) -> tuple[float, float]:
    import numpy as np

    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def _expanded_tail(level: float, n: int) -> float:
    """Percentile to take instead of (1 - level) / 2, so that a mean's interval has its level for small n."""
    return NormalDist().cdf(math.sqrt(n / (n - 1)) * _student_quantile((1 - level) / 2, n - 1))


def _student_quantile(p: float, df: int) -> float:
    """Quantile of Student's t by its expansion about the normal's (Abramowitz and Stegun, 26.7.5)."""
    x = NormalDist().inv_cdf(p)
    terms = (
        x,
        (x**3 + x) / 4,
        (5 * x**5 + 16 * x**3 + 3 * x) / 96,
        (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / 384,
        (79 * x**9 + 776 * x**7 + 1482 * x**5 - 1920 * x**3 - 945 * x) / 92160,
    )
    return math.fsum(term / df**power for power, term in enumerate(terms))
