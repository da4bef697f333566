"""What runs claim from a judge whose ratings are chance: next to nothing.

No module: perf/noise, which is no part of the package.
"""

from __future__ import annotations

import pytest

from perf.noise import verdicts


@pytest.mark.parametrize(("size", "studies"), [(2, 20), (4, 20), (10, 20), (20, 60), (40, 60)])
def test_a_judge_by_chance_leads_to_no_claim(size: int, studies: int) -> None:
    found = verdicts(size, studies)
    assert found["better"] <= 0.05 * studies
    assert found.total() == studies
    if size < 20:
        assert set(found) == {"too_few"}
    else:
        assert found["unclear"] >= 0.9 * studies
