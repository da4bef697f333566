"""Confidence intervals of the difference between two candidates: a paired bootstrap over questions.

Each resample draws questions with replacement and uses both candidates' ratings of them, so the difficulty of
the questions cancels. Several sets of questions (strata) are resampled separately, since their sizes are
fixed.

Of few questions the resamples differ too little, or not at all if all questions have the same difference. So
an interval is never narrower than Student's t interval with a variance that has a lower bound (`least_sd`).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

from tvmerge._util.evidence import SCALE_POINTS, least_sd, student_quantile
from tvmerge.errors import UserError
from tvmerge.records import Difference, Judgment, Rating
from tvmerge.scoring.statistics import ratings_by_question, totals

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Aggregate = Callable[[Sequence[Judgment]], float]
"""Returns the score of the judgments of many questions."""

RESAMPLES = 10_000
"""Number of bootstrap resamples for means."""

KNOWN = 0.95
"""Minimum fraction of the resamples that must have a score.

If the score is not a mean, a resample with questions of only one label may have none. A few of these are left
out, but without many of them the interval would be biased.
"""

CHUNK = 1 << 21  # number of draws in memory at once: 16 MiB


@dataclass(frozen=True, slots=True)
class Stratum:
    """A set of questions that is resampled separately.

    Attributes:
        weight: The weight of its difference in the sum.
        first: The first candidate's judgments.
        second: The second candidate's judgments.
        aggregate: Returns the score of judgments, if it is not the pooled mean of the ratings.
        span: The difference between the highest and the lowest score, of a scale from 1 to 10 by default.
    """

    weight: float
    first: Iterable[Judgment]
    second: Iterable[Judgment]
    aggregate: Aggregate | None = None
    span: float = SCALE_POINTS


def paired_interval(
    a: Iterable[Judgment],
    b: Iterable[Judgment],
    *,
    level: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
    span: float = SCALE_POINTS,
) -> Difference:
    """Return the difference of two candidates' pooled means, over the questions rated for both.

    The percentiles are expanded for small samples, where plain ones are too narrow by sqrt((n - 1) / n) and
    use a normal quantile instead of Student's t (Hesterberg, What Teachers Should Know About the Bootstrap,
    2015).

    Args:
        a: The first candidate's judgments.
        b: The second candidate's judgments.
        level: Confidence level, in (0, 1).
        seed: Seed of the resampling; the same input gives the same interval.
        resamples: Number of bootstrap resamples.
        span: The difference between the highest and the lowest rating.
    """
    return weighted_interval([Stratum(1.0, a, b, span=span)], level=level, seed=seed, resamples=resamples)


def weighted_interval(
    strata: Sequence[Stratum], *, level: float = 0.95, seed: int = 0, resamples: int = RESAMPLES
) -> Difference:
    """Return the weighted sum of the differences on several sets of questions.

    Args:
        strata: The sets.
        level: Confidence level, in (0, 1).
        seed: Seed of the resampling.
        resamples: Number of bootstrap resamples; with 0 the bounds are nan.

    Returns:
        The difference, which is nan if a set has no question rated for both, with bounds, which are nan if a
        set has fewer than two such questions.
    """
    pairs = [_pair(stratum) for stratum in strata]
    n = sum(pair.n for pair in pairs)
    if not all(pair.n for pair in pairs):
        return Difference(math.nan, math.nan, math.nan, n)
    centres = [stratum.weight * pair.difference for stratum, pair in zip(strata, pairs, strict=True)]
    difference = math.fsum(centres)
    if resamples == 0 or any(pair.n < 2 for pair in pairs):
        return Difference(difference, math.nan, math.nan, n)
    deviations = [
        stratum.weight * _resampled(pair, [seed, index], resamples) - centre
        for index, (stratum, pair, centre) in enumerate(zip(strata, pairs, centres, strict=True))
    ]
    deviations, sizes = _scored(deviations), [pair.n for pair in pairs]
    if not deviations:
        return Difference(difference, math.nan, math.nan, n)
    low, high = _bounds(deviations, sizes, level)
    half = _t_half_width(deviations, strata, sizes, level)
    low, high = (difference + min(low, -half), difference + max(high, half))
    # No difference is larger than the scale, unless ratings are outside of it.
    most = max(abs(difference), math.fsum(stratum.weight * stratum.span for stratum in strata))
    return Difference(difference, max(low, -most), min(high, most), n)


class _Means:
    """Two candidates' ratings of the same questions, compared by their pooled means."""

    def __init__(self, first: Iterable[Judgment], second: Iterable[Judgment]) -> None:
        a, b = totals(first), totals(second)
        # Sorted, so that the order in which judgments arrived does not affect the resampling.
        self._rows = [(*a[key], *b[key]) for key in sorted(a.keys() & b.keys(), key=str)]
        self.n = len(self._rows)

    @property
    def difference(self) -> float:
        sums = [math.fsum(column) for column in zip(*self._rows, strict=True)]
        return sums[0] / sums[1] - sums[2] / sums[3]

    def differences(self, times: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return each resample's difference (size,), given how often it has each question (size, n)."""
        import numpy as np

        sums = times.astype(np.float64) @ np.asarray(self._rows, dtype=np.float64)
        found: NDArray[np.float64] = sums[:, 0] / sums[:, 1] - sums[:, 2] / sums[:, 3]
        return found


class _Wholes:
    """The same for a score that is not a mean, which is computed anew for each resample."""

    def __init__(self, first: Iterable[Judgment], second: Iterable[Judgment], aggregate: Aggregate) -> None:
        a, b = ratings_by_question(first), ratings_by_question(second)
        keys = sorted(a.keys() & b.keys(), key=str)
        self._sides = ([a[key] for key in keys], [b[key] for key in keys])
        self._aggregate = aggregate
        self.n = len(keys)

    @property
    def difference(self) -> float:
        return self._difference([1] * self.n)

    def differences(self, times: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return each resample's difference as `_Means` does; nan if a resample has no score."""
        import numpy as np

        with warnings.catch_warnings():
            # A resample may lack a class, which is not worth a warning.
            warnings.simplefilter("ignore")
            return np.array([self._tried(row) for row in times.tolist()], dtype=np.float64)

    def _tried(self, times: Sequence[int]) -> float:
        try:
            return self._difference(times)
        except (ArithmeticError, ValueError, UserError):
            return math.nan

    def _difference(self, times: Sequence[int]) -> float:
        first, second = (self._aggregate(_repeated(side, times)) for side in self._sides)
        return first - second


def _pair(stratum: Stratum) -> _Means | _Wholes:
    if stratum.aggregate is None:
        return _Means(stratum.first, stratum.second)
    return _Wholes(stratum.first, stratum.second, stratum.aggregate)


def _repeated(groups: Sequence[Sequence[Rating]], times: Sequence[int]) -> list[Judgment]:
    return [v for group, count in zip(groups, times, strict=True) for _ in range(count) for v in group]


def _resampled(pair: _Means | _Wholes, seed: Sequence[int], resamples: int) -> NDArray[np.float64]:
    """Return the differences of `resamples` draws of a stratum's questions, shape (resamples,)."""
    import numpy as np

    return np.concatenate([pair.differences(times) for times in _draws(pair.n, seed, resamples)])


def _draws(n: int, seed: Sequence[int], resamples: int) -> Iterator[NDArray[np.int64]]:
    """Yield how often each resample has each of n questions, in chunks of shape (size, n)."""
    import numpy as np

    rng = np.random.default_rng(seed)
    step = max(1, CHUNK // n)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        drawn = rng.integers(0, n, size=(size, n)) + n * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)


def _scored(deviations: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """Return the deviations in the resamples in which all strata have a score; none if too few do."""
    import numpy as np

    known = np.logical_and.reduce([np.isfinite(values) for values in deviations])
    if not known.size or known.mean() < KNOWN:
        return []
    return [values[known] for values in deviations]


def _bounds(
    deviations: Sequence[NDArray[np.float64]], sizes: Sequence[int], level: float
) -> tuple[float, float]:
    """Return the interval of a sum around 0, given each stratum's deviations in each resample.

    The percentiles are expanded as for a single set with the degrees of freedom of all strata together. The
    deviations of a stratum of n questions are too small by sqrt((n - 1) / n), so those of small strata are
    scaled up. If a small stratum contributes most of the variance, the sum has fewer degrees of freedom
    (Welch, The Generalization of 'Student's' Problem, 1947), so all deviations are scaled. Both factors are 1
    for a single stratum.
    """
    import numpy as np

    pooled = sum(sizes) - len(sizes)
    scaled = [
        values * (_expansion(n) / _expansion(pooled + 1)) for values, n in zip(deviations, sizes, strict=True)
    ]
    freedom = _freedom([float(values.var()) for values in scaled], sizes)
    wider = student_quantile(level, freedom) / student_quantile(level, pooled)
    tail = NormalDist().cdf(-_expansion(pooled + 1) * student_quantile(level, pooled))
    low, high = np.quantile(wider * sum(scaled[1:], start=scaled[0]), [tail, 1 - tail])
    return float(low), float(high)


def _t_half_width(
    deviations: Sequence[NDArray[np.float64]], strata: Sequence[Stratum], sizes: Sequence[int], level: float
) -> float:
    """Return half the width of Student's t interval of a sum, with each stratum's least variance.

    The degrees of freedom are those of Welch and Satterthwaite.
    """
    variances = [
        max(
            float(values.var()) * _expansion(n) ** 2,
            (stratum.weight * least_sd(stratum.span, n)) ** 2 / n,
        )
        for values, stratum, n in zip(deviations, strata, sizes, strict=True)
    ]
    quantile = student_quantile(level, _freedom(variances, sizes))
    return quantile * math.sqrt(math.fsum(variances))


def _expansion(n: int) -> float:
    """Return the factor by which the bootstrap of n questions is too narrow."""
    return math.sqrt(n / (n - 1))


def _freedom(variances: Sequence[float], sizes: Sequence[int]) -> float:
    """Return the degrees of freedom of a sum of independent estimates (Welch-Satterthwaite)."""
    if not any(variances):
        return sum(sizes) - len(sizes)
    parts = [variance**2 / (n - 1) for variance, n in zip(variances, sizes, strict=True)]
    return math.fsum(variances) ** 2 / math.fsum(parts)
