"""What candidates are worth, from ratings of few questions each.

A rating y of candidate c on question q is seen as

    y[c, q] = mu + b[q] + f(w_c) + e,   b[q] ~ N(0, sb^2),  f ~ GP(0, sf^2 k),  e ~ N(0, se^2 / n[c, q])

where b is how easy a question is, f what a candidate is worth beside others, and n the weight of a rating
(the number of verdicts it is the mean of). b is integrated out question by question, so that a fit costs
O(m^3 + m^2 q) for m candidates and q questions, however many ratings there are; the determinant and inverse
are Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, equations 3.27 and A.9.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvmerge.study.blocks.factor import factor
from tvmerge.study.blocks.metric import Metric, matern52

if TYPE_CHECKING:
    from tvmerge.study.blocks.metric import Floats

SPREAD = 3.0
"""Prior standard deviation of mu; ratings are taken in ninths of their scale, as of 1 to 10."""

JITTER = 1e-8
"""Added to the diagonal of a prior covariance, as a share of its first element."""

DECIMALS = 2
"""Hyperparameters are rounded, so that the last bits of a matrix library do not decide what is asked."""

_BOUND = 4.0  # of a hyperparameter's logarithm


@dataclass(frozen=True)
class Ratings:
    """The ratings so far, in points of which a scale has nine.

    Attributes:
        weights: The candidates' weights, shape (m, d).
        ratings: Shape (m, q); what stands where there is none does not matter.
        counts: The weight of each rating, shape (m, q); 0 where there is none.
    """

    weights: Floats
    ratings: Floats
    counts: Floats


@dataclass(frozen=True)
class Posterior:
    """What is known of f after the ratings; made by `Model.condition`.

    Attributes:
        metric: The metric.
        theta: The hyperparameters; see `Model`.
        mu: The mean rating.
        projected: The candidates' weights along the metric's directions, shape (m, p).
        alpha: Weights of the candidates in a predicted mean, shape (m,).
        gain: By which a covariance shrinks, shape (m, m).
    """

    metric: Metric
    theta: Floats
    mu: float
    projected: Floats
    alpha: Floats
    gain: Floats

    def mean(self, weights: Floats) -> Floats:
        """Expected rating on a question nobody has asked: shape (n, d) to (n,)."""
        cross = self._covariance(self.metric.project(weights), self.projected)
        found: Floats = self.mu + cross @ self.alpha
        return found

    def sd(self, weights: Floats) -> Floats:
        """Standard deviation of mu + f: shape (n, d) to (n,)."""
        import numpy as np

        cross = self._covariance(self.metric.project(weights), self.projected)
        prior = np.exp(2 * self.theta[self.metric.scales]) + SPREAD**2
        return np.asarray(np.sqrt(np.maximum(prior - (cross @ self.gain * cross).sum(1), 1e-12)))

    def covariance(self, weights: Floats) -> Floats:
        """Covariance of mu + f: shape (n, d) to (n, n)."""
        points = self.metric.project(weights)
        cross = self._covariance(points, self.projected)
        found: Floats = self._covariance(points, points) - cross @ self.gain @ cross.T
        return found

    def _covariance(self, a: Floats, b: Floats) -> Floats:
        import numpy as np

        scales = self.metric.scales
        kernel, _ = matern52(self.metric.squared_distances(a, b, self.theta[:scales]))
        found: Floats = np.exp(2 * self.theta[scales]) * kernel + SPREAD**2
        return found


class Model:
    """The model with its priors.

    A vector of hyperparameters holds the logarithms of the length scales, sf, sb and se, in that order. Their
    priors are normal.

    Args:
        metric: How alike candidates are, of weights scaled to ranges of length 2.
        spreads: Prior medians of sf, sb and se, in points.
    """

    def __init__(self, metric: Metric, spreads: tuple[float, float, float] = (1.5, 1.5, 1.4)) -> None:
        import numpy as np

        self._metric = metric
        directions = len(metric.directions)
        length = np.log(0.55 * directions**0.5)
        self.prior = np.append(np.full(metric.scales, length), np.log(spreads))
        self._sd = np.full(len(self.prior), 0.7)

    def fit(self, data: Ratings, start: Floats, iterations: int) -> Floats:
        """The most probable hyperparameters, rounded to `DECIMALS`.

        Args:
            data: The ratings.
            start: Where to begin, such as `prior` or those of fewer ratings.
            iterations: The most steps of L-BFGS.
        """
        import numpy as np
        from scipy.optimize import minimize

        def loss(theta: Floats) -> tuple[float, Floats]:
            try:
                likelihood, slope = self.log_likelihood(data, theta)
            except np.linalg.LinAlgError:
                return 1e10, np.zeros_like(theta)
            z = (theta - self.prior) / self._sd
            return 0.5 * float(z @ z) - likelihood, z / self._sd - slope

        options = {"maxiter": iterations, "maxfun": 2 * iterations}
        bounds = [(-_BOUND, _BOUND)] * len(start)
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options, bounds=bounds)
        return np.asarray(np.round(found.x, DECIMALS) + 0.0)

    def log_likelihood(self, data: Ratings, theta: Floats) -> tuple[float, Floats]:
        """Logarithm of the marginal likelihood and its gradient in `theta`.

        Raises:
            numpy.linalg.LinAlgError: A covariance is none, as of hyperparameters that are no numbers.
        """
        import numpy as np

        scales = self._metric.scales
        solved = _solve(self._metric, data, theta)
        sf2, sb2, _ = np.exp(2 * theta[scales:])
        outer = np.outer(solved.alpha, solved.alpha) - solved.gain
        slope = np.zeros_like(theta)
        pull = outer * (sf2 * solved.kernel_slope)
        points = solved.projected * np.exp(-theta[:scales])[self._metric.shared]
        by_direction = pull.sum(1) @ (points * points) - (points * (pull @ points)).sum(0)
        np.add.at(slope, self._metric.shared, by_direction)
        slope[scales] = (outer * solved.kernel).sum() * sf2
        slope[scales + 1 :] = _noise_slopes(solved, data, sb2)
        return solved.log_likelihood, slope

    def condition(self, data: Ratings, theta: Floats) -> Posterior:
        """What the ratings say under these hyperparameters."""
        solved = _solve(self._metric, data, theta)
        return Posterior(self._metric, theta, solved.mu, solved.projected, solved.alpha, solved.gain)

    def expect(self, known: Posterior, data: Ratings, pending: Floats) -> Posterior:
        """What is known where ratings are asked and not there yet.

        They count as if each were what is expected of it: means stay, and less is left to be learnt there.

        Args:
            known: What the ratings say.
            data: The ratings.
            pending: The weights of those that are not there yet, shape (m, q).
        """
        from dataclasses import replace

        if not pending.any():
            return known
        solved = _solve(self._metric, replace(data, counts=data.counts + pending), known.theta)
        return replace(known, gain=solved.gain)


@dataclass(frozen=True)
class _Solved:
    """The linear algebra of one set of hyperparameters.

    `precision` is n / se^2, `by_question` its column sums, `shrunk` 1 / sb^2 plus these; `deviations` are the
    ratings less mu, 0 where there is none; `sigma` and `mean` are the posterior of mu + f at the candidates.
    """

    mu: float
    projected: Floats
    kernel: Floats
    kernel_slope: Floats
    deviations: Floats
    precision: Floats
    by_question: Floats
    shrunk: Floats
    sigma: Floats
    mean: Floats
    alpha: Floats
    gain: Floats
    log_likelihood: float


def _solve(metric: Metric, data: Ratings, theta: Floats) -> _Solved:
    import numpy as np
    from scipy.linalg import solve_triangular

    scales = metric.scales
    sf2, sb2, se2 = np.exp(2 * theta[scales:])
    projected = metric.project(data.weights)
    squared = metric.squared_distances(projected, projected, theta[:scales])
    np.fill_diagonal(squared, 0)
    kernel, kernel_slope = matern52(squared)
    m, there = len(kernel), data.counts > 0
    prior = sf2 * kernel + SPREAD**2
    prior[np.diag_indices(m)] += JITTER * prior[0, 0]

    mu = float((data.ratings * data.counts).sum() / data.counts.sum()) if there.any() else 0.0
    deviations = np.where(there, data.ratings - mu, 0.0)
    precision = data.counts / se2
    by_question = precision.sum(0)
    shrunk = 1 / sb2 + by_question
    weighted = precision * deviations
    information = np.diag(precision.sum(1)) - (precision / shrunk) @ precision.T
    told = weighted.sum(1) - precision @ (weighted.sum(0) / shrunk)

    lower = factor(prior, _cholesky)
    inner = factor(np.eye(m) + lower.T @ information @ lower, _cholesky)
    root = solve_triangular(inner, lower.T, lower=True, check_finite=False)
    sigma = root.T @ root
    mean = sigma @ told
    square = (weighted * deviations).sum() - (weighted.sum(0) ** 2 / shrunk).sum() - told @ mean
    logdet = np.log1p(sb2 * by_question).sum() - np.log(precision[there]).sum()
    logdet += 2 * np.log(np.diag(inner)).sum()
    return _Solved(
        mu=mu,
        projected=projected,
        kernel=kernel,
        kernel_slope=kernel_slope,
        deviations=deviations,
        precision=precision,
        by_question=by_question,
        shrunk=shrunk,
        sigma=sigma,
        mean=mean,
        alpha=told - information @ mean,
        gain=information - information @ sigma @ information,
        log_likelihood=float(-0.5 * (square + logdet + there.sum() * np.log(2 * np.pi))),
    )


def _cholesky(matrix: Floats) -> Floats:
    from scipy.linalg import cholesky

    found: Floats = cholesky(matrix, lower=True, check_finite=False)
    return found


def _noise_slopes(solved: _Solved, data: Ratings, sb2: float) -> tuple[float, float]:
    """Gradient of the log likelihood in the logarithms of sb and se."""
    import numpy as np

    there, precision, shrunk = data.counts > 0, solved.precision, solved.shrunk
    residual = np.where(there, precision * (solved.deviations - solved.mean[:, None]), 0.0)
    spread = solved.sigma @ precision
    shared = (precision * spread).sum(0)
    pull = residual.sum(0)
    left = 1 / (sb2 * shrunk)  # what is left of a question's effect, from 1 without a rating to 0
    easy = sb2 * ((pull * left) ** 2 - solved.by_question * left + left * left * shared).sum()
    u = residual - precision * (pull / shrunk)
    variance = np.diag(solved.sigma)[:, None] - 2 * spread / shrunk + shared / shrunk**2
    diagonal = precision - precision**2 / shrunk - precision**2 * variance
    noise = ((u[there] ** 2 - diagonal[there]) / precision[there]).sum()
    return float(easy), float(noise)
