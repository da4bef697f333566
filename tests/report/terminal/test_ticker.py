"""A function that is called again and again, until the end or its first error."""

from __future__ import annotations

import threading

import pytest

from tvmerge.report.terminal.ticker import Ticker


def test_it_is_called_until_the_end_and_its_thread_ends() -> None:
    called = threading.Semaphore(0)
    before = threading.active_count()
    with Ticker(called.release, 0.001):
        for _ in range(3):
            assert called.acquire(timeout=10)
    assert threading.active_count() == before


def test_without_a_pause_it_is_never_called() -> None:
    called: list[None] = []
    before = threading.active_count()
    with Ticker(lambda: called.append(None), None):
        assert threading.active_count() == before
    assert called == []


@pytest.mark.parametrize("other", [False, True])
def test_its_first_error_is_raised_at_the_end_unless_there_is_another(other: bool) -> None:
    called = threading.Event()

    def breaks() -> None:
        called.set()
        raise OSError("the pipe is broken")

    def work() -> None:
        with Ticker(breaks, 0.001):
            assert called.wait(timeout=10)
            if other:
                raise KeyError

    with pytest.raises(KeyError if other else OSError):
        work()
