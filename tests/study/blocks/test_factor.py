"""Factors and roots of matrices that are nearly covariances."""

from __future__ import annotations

import numpy as np
import pytest

from tvmerge.study.blocks.factor import factor, root


def test_a_covariance_is_taken_as_it_is() -> None:
    root = np.tril(np.random.RandomState(0).standard_normal((5, 5))) + 3 * np.eye(5)
    matrix = root @ root.T
    kept = matrix.copy()
    assert np.array_equal(factor(matrix), np.linalg.cholesky(matrix))
    more = factor(matrix, least=0.1)
    assert more @ more.T == pytest.approx(matrix + 0.1 * matrix.trace() / 5 * np.eye(5))
    assert np.array_equal(matrix, kept)


@pytest.mark.parametrize("negative", [1e-9, 1e-7, 1e-3])
def test_what_rounding_made_indefinite_gets_as_much_as_it_takes(negative: float) -> None:
    matrix = np.ones((4, 4)) - negative * np.eye(4)
    found = factor(matrix)
    assert found @ found.T == pytest.approx(matrix, abs=11 * negative)


def test_what_is_no_covariance_is_refused() -> None:
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        factor(-np.eye(3))


def test_a_root_of_a_covariance_is_its_factor() -> None:
    matrix = np.array([[4.0, 1.0], [1.0, 3.0]])
    assert np.array_equal(root(matrix, least=1e-6), factor(matrix, 1e-6))


def test_where_rounding_exceeds_what_is_unknown_there_is_a_root_all_the_same() -> None:
    matrix = np.diag([1.0, 1.0, 1e-9, -2.0])
    found = root(matrix, least=1e-6)
    assert found @ found.T == pytest.approx(np.diag([1.0, 1.0, 1e-9, 0.0]))
