"""The cache that is measured is what it claims to be.

No module: perf/cache_rows, which is no part of the package.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from perf.cache_rows import Cost, fill, line
from tvmerge._util.cache import ContentCache


def test_every_hundredth_judgment_is_damaged(tmp_path: Path) -> None:
    fill(tmp_path, 300, 2000)
    with closing(ContentCache(tmp_path / "cache" / "judgments")) as cache:
        faults = [row.fault for row in cache.rows()]
    assert len(faults) == 300
    assert [number for number, fault in enumerate(faults, start=1) if fault] == [100, 200, 300]


def test_figures_stand_beside_their_goals() -> None:
    said = line("verify", Cost(4.2, 3.1, 59.0, 2))
    assert " ".join(said.split()).endswith("4.2 s (computing 3.1) 59 MB exit code 2 goal: 15 s, 100 MB")
