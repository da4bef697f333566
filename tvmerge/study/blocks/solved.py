"""The linear algebra of the model of `model`, for one set of hyperparameters.

With r the ratings less mu, P their precisions n / se^2, s = 1 / sb^2 + the column sums of P, d its row sums
and V = P / sqrt(s), integrating the effects of questions out leaves for the candidates

    A = diag(d) - V V',    t = (P r) 1 - V (1' (P r) / sqrt(s))',    Sigma = (K^-1 + A)^-1

with K the prior covariance, A what the ratings say and Sigma what is left unknown. Only one matrix of the
size of K is factored,

    B = 1 + diag(d)^(1/2) K diag(d)^(1/2)

which has no eigenvalue below 1 (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006,
section 3.4.3). What questions have in common changes the rest by a matrix whose rank is at most the number q
of questions that were rated (equation A.9), and at most m. So it takes O(m^3 + m^2 q) operations for m
candidates.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from tvmerge.study.blocks.factor import factor

if TYPE_CHECKING:
    from tvmerge.study.blocks.metric import Floats


@dataclass(frozen=True)
class Sums:
    """The ratings as precisions, and their sums.

    Attributes:
        mu: The mean rating.
        sb2: sb^2.
        precision: n / se^2, shape (m, q), of the q questions that were rated; 0 where there is no rating.
        weighted: The ratings less mu, times their precisions, shape (m, q).
        square: The sum of their squares, each times its precision.
        shrunk: 1 / sb^2 plus the sums of precisions by question, shape (q,).
        rooted: Square roots of the sums of precisions by candidate, shape (m,); 0 without a rating.
    """

    mu: float
    sb2: float
    precision: Floats
    weighted: Floats
    square: float
    shrunk: Floats
    rooted: Floats

    @cached_property
    def over(self) -> Floats:
        """1 / `rooted`, and 0 without a rating."""
        import numpy as np

        found: Floats = np.divide(1, self.rooted, out=np.zeros_like(self.rooted), where=self.rooted > 0)
        return found

    @classmethod
    def of(cls, ratings: Floats, counts: Floats, sb2: float, se2: float) -> Sums:
        """Return the sums of ratings, a row a candidate, a column a question, and their weights `counts`."""
        import numpy as np

        if (rated := counts.any(axis=0)).any():
            ratings, counts = ratings[:, rated], counts[:, rated]
        whole = counts.sum()
        mu = float((ratings * counts).sum() / whole) if whole else 0.0
        deviations = np.where(counts > 0, ratings - mu, 0.0)
        precision = counts / se2
        weighted = precision * deviations
        return cls(
            mu=mu,
            sb2=sb2,
            precision=precision,
            weighted=weighted,
            square=float((weighted * deviations).sum()),
            shrunk=1 / sb2 + precision.sum(0),
            rooted=np.sqrt(precision.sum(1)),
        )


@dataclass(frozen=True)
class Solved:
    """What follows from the ratings, in units of what they say: rows are times or over `sums.rooted`.

    Attributes:
        sums: The ratings.
        inverse: B^-1, shape (m, m).
        common: V over `rooted`, shape (m, q).
        narrow: `common` as few columns as it can have; see `narrowed`.
        solved_narrow: B^-1 `narrow`.
        lower: The factor of the matrix of questions, 1 - `narrow`' (1 - B^-1) `narrow`.
        told: t over `rooted`, shape (m,).
        logdet: The logarithm of the determinant of 1 + K A.
    """

    sums: Sums
    inverse: Floats
    common: Floats
    narrow: Floats
    solved_narrow: Floats
    lower: Floats
    told: Floats
    logdet: float

    @classmethod
    def of(cls, prior: Floats, sums: Sums) -> Solved:
        """Solve for a prior covariance, shape (m, m).

        Raises:
            numpy.linalg.LinAlgError: It is no covariance.
        """
        import numpy as np

        rooted = sums.rooted
        scaled = prior * rooted[:, None]
        scaled *= rooted
        scaled[np.diag_indices(len(prior))] += 1
        inverse, logdet = inverted(scaled)
        common, told = common_of(sums)
        narrow = narrowed(common)
        solved_narrow = inverse @ narrow
        left = narrow.T @ solved_narrow - narrow.T @ narrow
        left[np.diag_indices(len(left))] += 1
        lower = factor(left)
        logdet += 2 * float(np.log(np.diag(lower)).sum())
        return cls(sums, inverse, common, narrow, solved_narrow, lower, told, logdet)

    @cached_property
    def explained(self) -> Floats:
        """(1 - B^-1) V: `narrow` less `solved_narrow`, times the inverse of `lower`', of its shape."""
        return self._over_lower(self.narrow - self.solved_narrow)

    @cached_property
    def mean(self) -> Floats:
        """Sigma t, the expected f + mu of the candidates less the mean rating, times `rooted`."""
        known = self.told - self.inverse @ self.told
        found: Floats = known + self.explained @ (self.explained.T @ self.told)
        return found

    @cached_property
    def alpha(self) -> Floats:
        """What is t - A Sigma t: the weights of the candidates in a predicted mean, shape (m,)."""
        left = self.told - self.mean + self.common @ (self.common.T @ self.mean)
        found: Floats = self.sums.rooted * left
        return found

    @cached_property
    def gain(self) -> Floats:
        """A - A Sigma A = (K + A^-1)^-1, by which a covariance shrinks, shape (m, m)."""
        root = self._over_lower(self.solved_narrow)
        found: Floats = self.inverse - root @ root.T
        found *= self.sums.rooted[:, None]
        found *= self.sums.rooted
        return found

    @cached_property
    def variance(self) -> Floats:
        """The diagonal of Sigma, times the squares of `rooted`; 0 without a rating."""
        import numpy as np

        found: Floats = 1 - np.diag(self.inverse) + (self.explained**2).sum(1)
        return found

    @cached_property
    def spread(self) -> Floats:
        """Sigma P, times `rooted`, shape (m, q)."""
        import numpy as np

        is_narrow = self.narrow is self.common
        explained = self.common - (self.solved_narrow if is_narrow else self.inverse @ self.common)
        found: Floats = explained + self.explained @ (self.explained.T @ self.common)
        return found * np.sqrt(self.sums.shrunk)

    def log_likelihood(self) -> float:
        """Logarithm of the marginal likelihood of the ratings."""
        import numpy as np

        sums = self.sums
        there = sums.precision[sums.precision > 0]
        square = sums.square - (sums.weighted.sum(0) ** 2 / sums.shrunk).sum() - self.told @ self.mean
        logdet = np.log(sums.sb2 * sums.shrunk).sum() - np.log(there).sum() + self.logdet
        return float(-0.5 * (square + logdet + len(there) * np.log(2 * np.pi)))

    def noise_slopes(self) -> tuple[float, float]:
        """Gradient of the log likelihood in the logarithms of sb and se."""
        sums, over = self.sums, self.sums.over[:, None]
        precision, shrunk, sb2 = sums.precision, sums.shrunk, sums.sb2
        residual = sums.weighted - precision * (over * self.mean[:, None])
        spread = over * self.spread
        shared = (precision * spread).sum(0)
        pull = residual.sum(0)
        left = 1 / (sb2 * shrunk)  # what is left of a question's effect, from 1 without a rating to 0
        easy = sb2 * ((pull * left) ** 2 - precision.sum(0) * left + left * left * shared)
        u = residual - precision * (pull / shrunk)
        variance = over**2 * self.variance[:, None] - 2 * spread / shrunk + shared / shrunk**2
        diagonal = precision - precision**2 / shrunk - precision**2 * variance
        there = precision > 0
        noise = (u[there] ** 2 - diagonal[there]) / precision[there]
        return float(easy.sum()), float(noise.sum())

    def _over_lower(self, rows: Floats) -> Floats:
        from scipy.linalg import solve_triangular

        found: Floats = solve_triangular(self.lower, rows.T, lower=True, check_finite=False).T
        return found


def common_of(sums: Sums) -> tuple[Floats, Floats]:
    """What questions have in common, V, and what the ratings tell, t, both over `sums.rooted`."""
    import numpy as np

    common = sums.precision / np.sqrt(sums.shrunk) * sums.over[:, None]
    told = sums.over * sums.weighted.sum(1) - common @ (sums.weighted.sum(0) / np.sqrt(sums.shrunk))
    return common, told


def narrowed(common: Floats) -> Floats:
    """A matrix with the same product with its own transpose, and at most as many columns as rows.

    Args:
        common: Shape (m, q).

    Returns:
        Shape (m, min(m, q)); `common` itself where q is at most m.
    """
    from scipy.linalg import qr

    m, q = common.shape
    if q <= m:
        return common
    (upper,) = qr(common.T, mode="r", check_finite=False)
    found: Floats = upper[:m].T
    return found


def inverted(matrix: Floats) -> tuple[Floats, float]:
    """The inverse of a covariance and the logarithm of its determinant.

    Raises:
        numpy.linalg.LinAlgError: It is no covariance.
    """
    import numpy as np
    from scipy.linalg.lapack import dpotrf, dpotri

    # A symmetric matrix in rows is one in columns, as LAPACK has them: no copy is made.
    factor, failed = dpotrf(matrix.T, lower=1, overwrite_a=1, clean=0)
    diagonal = np.diag(factor).copy()
    if failed or not np.isfinite(diagonal).all():
        raise np.linalg.LinAlgError("not positive definite")
    half, failed = dpotri(factor, lower=1, overwrite_c=1)
    if failed:
        raise np.linalg.LinAlgError("not positive definite")
    whole = np.tril(half, -1)
    whole += whole.T
    whole[np.diag_indices(len(whole))] = np.diag(half)
    return whole, 2 * float(np.log(diagonal).sum())
