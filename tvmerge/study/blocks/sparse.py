"""The model of many candidates, seen through some of them.

A posterior of m candidates takes m^3 operations. Above `EXACT` of them, the values at `THROUGH` of them, u,
are taken for all that ties candidates together (FITC: Snelson and Ghahramani, Sparse Gaussian Processes using
Pseudo-inputs, 2006; Quinonero-Candela and Rasmussen, A Unifying View of Sparse Approximate Gaussian Process
Regression, 2005, section 6):

    f = K_mu K_uu^-1 u + e,   e ~ N(0, diag(K_mm - K_mu K_uu^-1 K_um))

Every rating still counts, and a candidate far from all of u is still as uncertain as before. It takes
O(m u^2) operations, and what is known is a mean and a covariance over u alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvmerge.study.blocks.factor import factor
from tvmerge.study.blocks.solved import Sums, common_of, narrowed

if TYPE_CHECKING:
    from tvmerge.study.blocks.metric import Floats, Ints

EXACT = 600
"""Candidates up to which nothing is approximated."""

THROUGH = 300
"""Candidates that more of them are seen through."""

JITTER = 1e-6
"""The least of `factor.JITTERS` that is added to the covariance of these, many of which are close."""


def chosen(counts: Floats) -> Ints | None:
    """The rows of the candidates that the others are seen through, in order; None if all count exactly.

    Half are those with most ratings, which are the good ones, and half the newest of the others, which are
    near the good ones. This is a function of the ratings alone, so that a resumed study chooses alike.

    Args:
        counts: The weight of each rating, shape (m, q), older candidates first.
    """
    import numpy as np

    m = len(counts)
    if m <= EXACT:
        return None
    newest = np.arange(m)[::-1]
    order = newest[np.argsort(-counts.sum(1)[newest], kind="stable")]
    most = order[: THROUGH // 2]
    others = np.setdiff1d(newest, most)[-(THROUGH - THROUGH // 2) :]
    return np.sort(np.concatenate([most, others]))


def seen_through(inner: Floats, cross: Floats, level: float, sums: Sums) -> tuple[Floats, Floats]:
    """What the ratings say of the chosen candidates.

    Args:
        inner: Their prior covariance, shape (u, u).
        cross: That of all candidates with them, shape (m, u).
        level: The prior variance of each candidate.
        sums: The ratings of all.

    Returns:
        Their weights in a predicted mean, shape (u,), and by what a covariance shrinks, shape (u, u).
    """
    import numpy as np
    from scipy.linalg import solve_triangular

    def over(lower: Floats, columns: Floats, *, transposed: bool = False) -> Floats:
        found: Floats = solve_triangular(
            lower, columns, lower=True, trans=int(transposed), check_finite=False
        )
        return found

    rooted = sums.rooted
    lower = factor(inner, JITTER)
    features = over(lower, cross.T)  # f is their transpose times a standard normal vector, and e
    alone = rooted**2 * np.maximum(level - (features**2).sum(0), 0)
    left = 1 / (1 + alone)
    common, told = common_of(sums)
    common = narrowed(common)
    questions = factor(np.eye(common.shape[1]) - common.T @ ((1 - left)[:, None] * common))
    joint = over(questions, (left[:, None] * common).T)
    features *= rooted
    across = joint @ features.T
    weighted = features * np.sqrt(left)
    precision = weighted @ weighted.T - across.T @ across
    precision[np.diag_indices(len(precision))] += 1
    inside = factor(precision)
    seen = features @ (left * told + joint.T @ (joint @ (alone * told)))
    mean = over(inside, over(inside, seen), transposed=True)
    whole = over(lower, np.eye(len(lower)))
    remaining = over(inside, whole)
    gain: Floats = whole.T @ whole - remaining.T @ remaining
    return over(lower, mean, transposed=True), gain
