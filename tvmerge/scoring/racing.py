"""Stops a candidate that is clearly worse than the best one known when it was asked.

All candidates meet the questions in one order, so the scores of two candidates pair up question by
question, and what makes a question hard cancels. After each batch the race asks whether the pairs so far
could be chance: Wilcoxon's signed-rank test (Wilcoxon, Individual Comparisons by Ranking Methods, 1945),
one-sided. It is the test of Optuna's WilcoxonPruner; unlike there, the incumbent is fixed when the candidate
is asked, so the end of a race depends on the table and on the scores, never on timing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Scores = Sequence[float | None]
"""What each question adds to the score, in the order of the race; None where no judgment gave a rating."""

RACES = ("wilcoxon", "off")

_DIGITS = 9  # scores are sums of scaled ratings: differences that are equal come out unequal in the last bits
_MOST_TABLED = 50  # pairs, of which the distribution of untied ranks is summed up
_MOST_SIGNED = 13  # pairs, of which all 2^n patterns of signs are tried


@dataclass(frozen=True, slots=True)
class RacingRules:
    """How a race is run.

    Attributes:
        p: Probability of chance below which a candidate is taken to be worse.
        minimum: Questions before the first interim check.
        batch: Questions between two interim checks.
    """

    p: float
    minimum: int
    batch: int

    def interim_checks(self, questions: int) -> tuple[int, ...]:
        """After how many of the questions a race is looked at.

        Not after the last ones, where there is nothing left to save.
        """
        first = -(-max(self.minimum, 1) // self.batch) * self.batch
        return tuple(range(first, questions, self.batch))


def should_prune(scores: Scores, incumbent: Scores, p: float) -> bool:
    """Whether a candidate is to be stopped.

    Args:
        scores: The candidate's, on the first questions.
        incumbent: The incumbent's, on at least as many.
        p: Probability of chance below which the candidate is taken to be worse.
    """
    differences = _differences(scores, incumbent)
    # Ranks can disagree with the mean, and it is the mean that the search maximises.
    return math.fsum(differences) < 0 and signed_rank_p(differences) < p


def projected_score(scores: Scores, incumbent: Scores, value: float) -> float:
    """What a stopped candidate would have scored on all questions.

    Its mean difference to the incumbent, on the questions both have a rating of, is added to the
    incumbent's score: that these questions are easier or harder than the rest cancels.

    Args:
        scores: The candidate's, on the first questions.
        incumbent: The incumbent's.
        value: The incumbent's score on all questions.
    """
    differences = _differences(scores, incumbent)
    return value + math.fsum(differences) / len(differences)


def signed_rank_p(differences: Sequence[float]) -> float:
    """One-sided p-value of Wilcoxon's signed-rank test that the differences tend to be negative.

    Zeros are ranked and then split between the signs, as in Optuna's pruner: questions that two candidates
    answer alike are evidence of their likeness. The p-value is exact for up to 50 pairs without ties and
    zeros, and for up to 13 with them; beyond, it is that of the normal approximation without a correction for
    continuity.
    """
    import numpy as np
    from scipy.stats import wilcoxon

    if not any(differences):
        return 1.0
    found = wilcoxon(
        np.asarray(differences),
        alternative="less",
        zero_method="zsplit",
        correction=False,
        method=_method(differences),
    )
    return float(found.pvalue)


def _method(differences: Sequence[float]) -> object:
    """How scipy is to find the p-value; left to itself, each of its versions decides in another way."""
    from scipy.stats import PermutationMethod

    untied = len({abs(difference) for difference in differences}) == len(differences) and all(differences)
    if untied and len(differences) <= _MOST_TABLED:
        return "exact"
    if len(differences) <= _MOST_SIGNED:
        return PermutationMethod(n_resamples=2**_MOST_SIGNED)
    return "approx"  # the name that all versions know


def _differences(scores: Scores, incumbent: Scores) -> list[float]:
    pairs = zip(scores, incumbent, strict=False)
    return [round(a - b, _DIGITS) for a, b in pairs if a is not None and b is not None]
