"""Breaking runs off: what the campaign `python -m perf.crash` reads off processes and books.

No module: perf/crash, which is no part of the package.
"""

from __future__ import annotations

import functools
import importlib
from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from perf.crash.books import Books
from perf.crash.ended import account
from perf.crash.stages import STAGES, START, tell_stages
from perf.crash.study import Hit, Timeline, draw, in_order


def hit(books: Books) -> Hit:
    return Hit("judging", -9, 1, books)


def books(sent: str, entered: int, stored: str) -> Books:
    return Books(Counter(sent), entered, frozenset(stored))


@pytest.mark.parametrize("place", [place for places in STAGES.values() for place in places])
def test_the_functions_of_each_stage_exist(place: str) -> None:
    module, _, path = place.partition(":")
    assert callable(functools.reduce(getattr, path.split("."), importlib.import_module(module)))


def test_a_process_tells_when_it_enters_a_stage_and_leaves_it(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bytes] = []

    monkeypatch.setattr("perf.crash.stages.STAGES", {"telling": ("tests.perf.test_crash:hit",)})
    monkeypatch.setattr("tests.perf.test_crash.hit", hit)  # puts it back later
    tell_stages(told.append)
    importlib.import_module("tests.perf.test_crash").hit(books("", 0, ""))
    assert told == [b"+telling", b"-telling"]


def test_a_process_is_in_the_stage_that_was_meant_or_in_the_last_that_it_entered() -> None:
    timeline = Timeline()
    for message in (b"+merging", b"+judging", b"+telling", b"-telling"):
        timeline.add(message)
    assert timeline.stage("merging") == "merging"
    assert timeline.stage("telling") == "judging"
    assert timeline.entered == {"merging": 1, "judging": 1, "telling": 1}
    assert draw(Random(0), "telling", timeline).occurrence == 1
    assert in_order(["telling", START, "merging"]) == [START, "merging", "telling"]


def test_a_request_is_paid_twice_only_if_its_reply_had_arrived() -> None:
    cut = [hit(books("abcd", 2, "ab"))]
    found = account(cut, books("abcdcd", 4, "abcd"))
    assert (found.on_the_wire, found.again, found.twice, found.unexplained) == (2, 2, 0, 0)
    assert found.balanced
    found = account(cut, books("abcdac", 4, "abcd"))
    assert (found.again, found.twice) == (1, 1)
    assert not found.balanced
    found = account([hit(books("abcd", 3, "ab"))], books("abcdcd", 5, "abcd"))
    assert (found.on_the_wire, found.twice, found.balanced) == (1, 1, False)


def test_replies_that_a_killed_process_had_read_and_not_written_are_counted() -> None:
    cut = replace(hit(books("abcd", 2, "ab")), arrived=3)
    assert account([cut], books("abcdcd", 4, "abcd")).missed == 1


def test_a_request_that_is_neither_entered_nor_cut_off_by_a_kill_is_unexplained() -> None:
    found = account([hit(books("abcd", 3, "abc"))], books("abcdde", 4, "abcde"))
    assert found.unexplained == 1
    assert not found.balanced
    assert account([], books("abc", 3, "abc")).balanced
