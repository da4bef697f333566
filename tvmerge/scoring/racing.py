"""Stops a candidate that is significantly worse than the best one known when it was asked.

All candidates are asked the questions in the same order, so the scores of two candidates can be paired by
question, and the difficulty of the questions cancels. After each batch the pairs so far are tested with
Wilcoxon's one-sided signed-rank test (Wilcoxon, Individual Comparisons by Ranking Methods, 1945), as in
Optuna's WilcoxonPruner. Here the incumbent is fixed when the candidate is asked, so pruning depends on the
finished trials and the scores, never on timing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Scores = Sequence[float | None]
"""What each question contributes to the score, in the order of the race; None without a rating."""

_DIGITS = 9  # scores are sums of scaled ratings, so equal differences may differ in the last bits
_MOST_TABLED = 50  # number of pairs up to which the exact distribution of untied ranks is used
_MOST_SIGNED = 13  # number of pairs up to which all 2^n sign patterns are enumerated


@dataclass(frozen=True, slots=True)
class RacingRules:
    """The rules of early stopping.

    Attributes:
        p: Probability of chance below which a candidate is taken to be worse.
        minimum: Questions before the first interim check.
        batch: Questions between two interim checks.
    """

    p: float = 0.25
    minimum: int = 8
    batch: int = 8

    def interim_checks(self, questions: int) -> tuple[int, ...]:
        """After how many of the questions a race is looked at.

        There is no check after the last question, where there is nothing left to save.
        """
        first = -(-max(self.minimum, 1) // self.batch) * self.batch
        return tuple(range(first, questions, self.batch))


def should_prune(scores: Scores, incumbent: Scores, p: float) -> bool:
    """Return whether a candidate should be pruned.

    Args:
        scores: The candidate's scores on the first questions.
        incumbent: The incumbent's scores on at least as many.
        p: The p-value below which the candidate is considered worse.
    """
    differences = _differences(scores, incumbent)
    # Ranks can disagree with the mean, which is what the search maximises.
    return math.fsum(differences) < 0 and signed_rank_p(differences) < p


def projected_score(scores: Scores, incumbent: Scores, value: float) -> float:
    """Return what a stopped candidate would have scored on all questions.

    It is the incumbent's score plus the mean difference on the questions rated for both, so it does not
    matter whether these questions are easier or harder than the rest.

    Args:
        scores: The candidate's scores on the first questions.
        incumbent: The incumbent's scores.
        value: The incumbent's score on all questions.
    """
    differences = _differences(scores, incumbent)
    return value + math.fsum(differences) / len(differences)


def signed_rank_p(differences: Sequence[float]) -> float:
    """Return the one-sided p-value of Wilcoxon's signed-rank test for negative differences.

    Zeros are ranked and then split between the signs, as in Optuna's pruner, since questions with equal
    scores are evidence that the candidates are equal. The p-value is exact for up to 50 pairs without ties
    and zeros, and for up to 13 with them; otherwise it is that of the normal approximation without continuity
    correction.
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
    """Return the method for scipy, whose default choice differs between versions."""
    from scipy.stats import PermutationMethod

    untied = len({abs(difference) for difference in differences}) == len(differences) and all(differences)
    if untied and len(differences) <= _MOST_TABLED:
        return "exact"
    if len(differences) <= _MOST_SIGNED:
        return PermutationMethod(n_resamples=2**_MOST_SIGNED)
    return "approx"  # the name that all versions accept


def _differences(scores: Scores, incumbent: Scores) -> list[float]:
    pairs = zip(scores, incumbent, strict=False)
    return [round(a - b, _DIGITS) for a, b in pairs if a is not None and b is not None]
