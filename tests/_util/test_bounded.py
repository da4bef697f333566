"""Work on untrusted input ends in time, and cannot fill the memory."""

from __future__ import annotations

import itertools
import os
import re
import time

import pytest

from tvmerge._util.bounded import OutOfBoundsError, WorkError, bounded

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="without forks there are no bounds")


def test_what_the_work_returns_and_raises_comes_back() -> None:
    before = os.getpid()
    assert bounded(lambda: ["\u732b", 1, None], 10) == ["\u732b", 1, None]
    with pytest.raises(WorkError, match="invalid literal"):
        bounded(lambda: int("x"), 10)
    assert os.getpid() == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.parametrize(
    "work",
    [
        lambda: all(True for _ in itertools.count()),
        lambda: bool(re.match(r"(a|a)+$", "a" * 60 + "b")),
        lambda: len(str(7 ** (10**9))),
    ],
)
def test_work_without_an_end_is_ended(work: object) -> None:
    assert callable(work)
    with pytest.raises(OutOfBoundsError, match=r"takes more than 0\.2 s"):
        bounded(work, 0.2)


def test_work_that_fills_the_memory_is_ended() -> None:
    with pytest.raises(OutOfBoundsError, match="1024 MiB of memory"):
        bounded(lambda: len("x" * (1 << 32)), 10)


def test_only_computing_counts_and_waiting_ends_too() -> None:
    assert bounded(lambda: time.sleep(0.3), 0.2) is None
    with pytest.raises(OutOfBoundsError, match=r"takes more than 0\.02 s"):
        bounded(lambda: time.sleep(60), 0.02)
