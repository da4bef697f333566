"""What is measured under load.

No module: programs in perf/.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from perf.load.questions import Memory, Timed
from perf.load.trials import gaps
from tvmerge._util.cache import ContentCache


def test_a_gap_is_from_the_last_rating_until_the_merge() -> None:
    marks = [
        ("merge", 1.0),
        ("rated", 2.0),
        ("rated", 3.0),
        ("merge", 3.5),
        ("merge", 9.0),
        ("rated", 9.5),
        ("merge", 10.5),
        ("rated", 11.0),
    ]
    assert gaps(marks) == [0.5, 1.0]


def test_memory_is_counted_even_if_it_is_free_again() -> None:
    with Memory() as memory:
        held = b"x" * 80_000_000
        while memory.gained < len(held) * 0.9:
            memory.look()
        del held
    assert 72e6 < memory.gained < 200e6


def test_writes_of_caches_are_timed_only_in_between(tmp_path: Path) -> None:
    before = ContentCache.put_packed
    cache = ContentCache(tmp_path)
    with Timed() as timed:
        cache.put("key", 1)
    seconds = timed.seconds
    cache.put("key", 2)
    cache.close()
    assert seconds == timed.seconds > 0
    assert timed.processor == pytest.approx(seconds, abs=10)
    assert ContentCache.put_packed is before
