"""What candidates are worth, from ratings of few questions each.

A rating y of candidate c on question q is seen as

    y[c, q] = mu + b[q] + f(w_c) + e,   b[q] ~ N(0, sb^2),  f ~ GP(0, sf^2 k),  e ~ N(0, se^2 / n[c, q])

where b is how easy a question is, f what a candidate is worth beside others, and n the weight of a rating,
such as the number of verdicts that it is the mean of. b is integrated out question by question (`solved`), so
that a fit costs O(m^3 + m^2 q) for m candidates and q questions that were rated, however many ratings there
are. Of many candidates some stand for all (`sparse`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvmerge.study.blocks.metric import Metric, matern52
from tvmerge.study.blocks.solved import Solved, Sums
from tvmerge.study.blocks.sparse import chosen, seen_through

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
        projected: The candidates' weights along the metric's directions, shape (m, p); of many candidates,
            those that the others are seen through (`sparse`).
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
        return covariance(self.metric, self.theta, a, b)


def covariance(metric: Metric, theta: Floats, a: Floats, b: Floats) -> Floats:
    """Prior covariance of mu + f between projected weights: shapes (m, p) and (n, p) to (m, n)."""
    import numpy as np

    kernel, _ = matern52(metric.squared_distances(a, b, theta[: metric.scales]))
    found: Floats = np.exp(2 * theta[metric.scales]) * kernel + SPREAD**2
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

        Of many candidates, only those count that the others are seen through (`sparse`).

        Args:
            data: The ratings.
            start: Where to begin, such as `prior` or those of fewer ratings.
            iterations: The most steps of L-BFGS.
        """
        import numpy as np
        from scipy.optimize import minimize

        if (rows := chosen(data.counts)) is not None:
            data = Ratings(data.weights[rows], data.ratings[rows], data.counts[rows])

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
        prior = _prior(self._metric, data.weights, theta)
        sf2, sb2, se2 = np.exp(2 * theta[scales:])
        solved = Solved.of(prior.covariance, Sums.of(data.ratings, data.counts, sb2, se2))
        outer = np.outer(solved.alpha, solved.alpha)
        outer -= solved.gain
        slope = np.empty_like(theta)
        slope[scales] = sf2 * (outer * prior.kernel).sum()
        outer *= prior.kernel_slope
        slope[:scales] = sf2 * self._metric.scale_slopes(outer, prior.squared, prior.projected, theta)
        slope[scales + 1 :] = solved.noise_slopes()
        return solved.log_likelihood(), slope

    def condition(self, data: Ratings, theta: Floats) -> Posterior:
        """What the ratings say under these hyperparameters."""
        return self._posterior(data, data.counts, theta)

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
        return replace(known, gain=self._posterior(data, data.counts + pending, known.theta).gain)

    def _posterior(self, data: Ratings, counts: Floats, theta: Floats) -> Posterior:
        """What the ratings say if they have these weights."""
        import numpy as np

        metric, through = self._metric, chosen(data.counts)
        sf2, sb2, se2 = np.exp(2 * theta[metric.scales :])
        sums = Sums.of(data.ratings, counts, sb2, se2)
        if through is None:
            prior = _prior(metric, data.weights, theta)
            solved = Solved.of(prior.covariance, sums)
            return Posterior(metric, theta, sums.mu, prior.projected, solved.alpha, solved.gain)
        prior = _prior(metric, data.weights[through], theta)
        cross = covariance(metric, theta, metric.project(data.weights), prior.projected)
        found = seen_through(prior.covariance, cross, sf2 + SPREAD**2, sums)
        return Posterior(metric, theta, sums.mu, prior.projected, *found)


@dataclass(frozen=True)
class _Prior:
    """The candidates' prior for one set of hyperparameters, each matrix of shape (m, m).

    Attributes:
        projected: Their weights along the metric's directions, shape (m, p).
        squared: Squared distances between them.
        kernel: The kernel.
        kernel_slope: Its slope; see `matern52`.
        covariance: That of mu + f.
    """

    projected: Floats
    squared: Floats
    kernel: Floats
    kernel_slope: Floats
    covariance: Floats


def _prior(metric: Metric, weights: Floats, theta: Floats) -> _Prior:
    import numpy as np

    scales = metric.scales
    projected = metric.project(weights)
    squared = metric.squared_distances(projected, projected, theta[:scales])
    np.fill_diagonal(squared, 0)
    kernel, kernel_slope = matern52(squared)
    covariance = np.exp(2 * theta[scales]) * kernel
    covariance += SPREAD**2
    covariance[np.diag_indices(len(kernel))] *= 1 + JITTER
    return _Prior(projected, squared, kernel, kernel_slope, covariance)
