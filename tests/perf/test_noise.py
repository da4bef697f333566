"""What runs claim from a judge whose ratings are chance: next to nothing.

No module: perf/noise, which is no part of the package.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from perf.noise import verdict_of_run, verdicts


@pytest.mark.parametrize(("size", "studies"), [(2, 20), (4, 20), (10, 20), (20, 60), (40, 60)])
def test_a_judge_by_chance_leads_to_no_claim(size: int, studies: int) -> None:
    found = verdicts(size, studies)
    assert found["better"] <= 0.05 * studies
    assert found.total() == studies
    if size < 20:
        assert set(found) == {"too_few"}
    else:
        assert found["unclear"] >= 0.9 * studies


def test_a_whole_run_rated_by_chance_claims_nothing_and_uses_a_cache_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TVMERGE_CACHE_DIR", str(tmp_path / "cache"))
    assert verdict_of_run(0, sampler="auto", n_trials=1, effect=True) != "better"
    assert not (tmp_path / "cache").exists()
    assert os.environ["TVMERGE_CACHE_DIR"] == str(tmp_path / "cache")
