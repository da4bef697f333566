"""Factors and roots of covariances that rounding may have made indefinite."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tvmerge.study.blocks.metric import Floats

JITTERS = (0.0, 1e-10, 1e-8, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0)
"""What is added to the diagonal, as a share of its mean: the first that suffices."""


def factor(matrix: Floats, least: float = 0.0) -> Floats:
    """The lower Cholesky factor, with as much added to the diagonal as it takes.

    Args:
        matrix: A covariance, shape (n, n).
        least: The least of `JITTERS` that is added.

    Raises:
        numpy.linalg.LinAlgError: The matrix is no covariance at all.
    """
    import numpy as np

    level = matrix.trace() / len(matrix)
    for jitter in (found for found in JITTERS if found >= least):
        steadied = matrix.copy()
        steadied[np.diag_indices(len(matrix))] += jitter * level
        try:
            found: Floats = np.asarray(np.linalg.cholesky(steadied), dtype=float)
        except np.linalg.LinAlgError:
            continue
        return found
    raise np.linalg.LinAlgError("not positive definite with any jitter")


def root(covariance: Floats, least: float) -> Floats:
    """A matrix whose product with its transpose is the covariance, or nearly.

    It is the Cholesky factor. Ratings without noise can leave so little unknown that rounding exceeds it and
    no jitter suffices; then it is the symmetric root.

    Args:
        covariance: Shape (n, n).
        least: The least of `JITTERS` that is added for a factor.
    """
    import numpy as np

    try:
        return factor(covariance, least)
    except np.linalg.LinAlgError:
        return symmetric_root(covariance)


def symmetric_root(covariance: Floats) -> Floats:
    """The symmetric root, with what is negative by rounding taken as 0; unlike eigenvectors, there is one."""
    import numpy as np

    values, vectors = np.linalg.eigh(covariance)
    found: Floats = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    return found
