"""What stopping finalists early saves and loses, over drawn ratings.

No module: perf/finalists, which is no part of the package.
"""

from __future__ import annotations

from statistics import fmean

from perf.finalists import measured


def test_finalists_that_stop_early_save_answers_and_leave_the_intervals_as_they_are() -> None:
    found = {
        races: [measured("large gains", 120, seed, races=races) for seed in range(12)]
        for races in (True, False)
    }
    assert all(study.asked == 3 * 60 for study in found[False])
    assert fmean(study.asked for study in found[True]) < 0.8 * 3 * 60
    same = [
        (one.covered, one.above)
        for one, other in zip(found[True], found[False], strict=True)
        if one.loss == other.loss  # the same winner
    ]
    assert same == [
        (other.covered, other.above)
        for one, other in zip(found[True], found[False], strict=True)
        if one.loss == other.loss
    ]
    assert len(same) > 6
