"""Requests of a study whose judge fails, counted by the server, the ledger and the cache.

No module: perf/requests, which is no part of the package.
"""

from __future__ import annotations

from pathlib import Path

from perf.requests import FAILURES, SHAPES, count


def test_each_request_is_entered_and_each_rating_stored_once(tmp_path: Path) -> None:
    found = count("oversize", "orders", tmp_path, questions=1)
    assert found.right, found
    assert found.runs == 1
    assert found.sent - found.good == FAILURES["oversize"][0]
    assert found.sent >= 10


def test_an_interrupted_comparison_in_both_orders_loses_nothing_in_flight(tmp_path: Path) -> None:
    found = count("Ctrl-C", "orders", tmp_path, questions=2)
    assert found.right, found
    assert found.runs == 2


def test_every_shape_makes_several_requests_of_a_question() -> None:
    assert {"turns", "samples", "panel", "orders"} == SHAPES.keys()
