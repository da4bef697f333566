"""The search by blocks on problems of special kinds, short searches.

No module: perf/special, which is no part of the package.
"""

from __future__ import annotations

import numpy as np
import pytest

from perf.special import PROBLEMS, Bench, Problem, by_blocks, main

ODD = {
    "one weight and one question": Problem(dimensions=1, questions=1),
    "one score for all": Problem(dimensions=4, deaf=(0.0, 1.0)),
    "no noise at all": Problem(noise=0.0, ease=0.0, step=1e-9),
    "hardly a score": Problem(missing=0.9),
    "a huge scale": Problem(low=0.0, high=1e300),
    "a tiny scale": Problem(low=0.0, high=1e-300, step=1e-306),
}


@pytest.mark.parametrize("problem", ODD.values(), ids=ODD.keys())
def test_any_scores_are_ranked_with_finite_estimates(problem: Problem) -> None:
    sampler, table = by_blocks(problem, Bench(problem, 0), 0, 24 * min(4, problem.questions))
    ranked = sampler.ranked(table)
    scored = {ask.trial for ask in table.known if any(score is not None for score in ask.scores or ())}
    assert {trial for trial, *_ in ranked} == scored
    assert all(np.isfinite([mean, sd]).all() and sd >= 0 for _, mean, sd in ranked)
    assert table.weights.min() >= 0
    assert table.weights.max() <= 2


def test_where_no_answer_is_rated_nothing_is_recommended() -> None:
    problem = Problem(missing=1.0)
    sampler, table = by_blocks(problem, Bench(problem, 0), 0, 100)
    assert not sampler.ranked(table)
    assert len(np.unique(table.weights, axis=0)) == len(table.weights) == 17


def test_a_line_is_printed_for_each_problem(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--problems", "judge-of-one-score", "border", "--seeds", "1", "--answers", "100"])
    head, nothing, border = (line.split() for line in capsys.readouterr().out.splitlines())
    assert head[0] == "problem"
    assert nothing[0] == "judge-of-one-score"
    assert abs(float(nothing[6])) < 0.05, "no gain is claimed"
    assert float(border[1]) >= float(border[5]) - 0.5, "not much worse than the best uniform weights"


def test_every_problem_has_a_truth_within_its_scale() -> None:
    for problem in PROBLEMS.values():
        truth = problem.truth(np.ones(problem.dimensions))
        assert problem.low <= truth <= problem.high
