"""How often the intervals of a few questions contain the truth.

No module: perf/small_samples, which is no part of the package.
"""

from __future__ import annotations

import pytest

from perf.small_samples import KINDS, cover


@pytest.mark.parametrize("n", [2, 6, 10])
@pytest.mark.parametrize("kind", ["much noise", "most at the top", "20% fail, noise", "by chance"])
def test_intervals_of_a_few_questions_contain_the_truth(kind: str, n: int) -> None:
    assert cover(kind, n, draws=150) >= 0.92


def test_the_same_difference_on_every_question_is_always_contained() -> None:
    assert cover("the same everywhere", 2, draws=20) == 1
    assert len(KINDS) > 10
