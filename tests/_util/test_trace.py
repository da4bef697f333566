"""The trace: idle shares add up, the file is what trace viewers read."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest

from tvmerge._util.trace import Trace, check_is_trace
from tvmerge.errors import ConfigError


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def worked(trace: Trace, clock: Clock, track: str, seconds: float) -> None:
    with trace.span(track, "work"):
        clock.now += seconds


def test_the_idle_share_counts_every_engine_between_first_and_last_piece_of_work() -> None:
    clock = Clock()
    trace = Trace(clock)
    trace.declare("engine a")
    trace.declare("engine b")
    assert trace.idle_share() is None
    clock.now += 50  # nobody waits for an engine before there is work
    worked(trace, clock, "engine a", 3)
    worked(trace, clock, "judge", 2)
    worked(trace, clock, "engine a", 5)
    assert trace.idle_share() == pytest.approx(1 - 8 / 20)
    assert trace.idle_share("engine a") == pytest.approx(0.2)


def test_work_that_fails_was_work() -> None:
    clock = Clock()
    trace = Trace(clock)
    with contextlib.suppress(ValueError), trace.span("engine", "work"):
        clock.now += 2
        raise ValueError("no")
    assert [(span.start, span.end) for span in trace.spans] == [(100.0, 102.0)]


def test_the_file_has_a_row_for_each_piece_of_work_that_overlaps(tmp_path: Path) -> None:
    clock = Clock()
    trace = Trace(clock)
    with trace.span("judge", "one"):
        clock.now += 1
        with trace.span("judge", "two"):
            clock.now += 1
    worked(trace, clock, "judge", 1.5)
    trace.write(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text(encoding="utf-8"))["traceEvents"]
    names = {e["tid"]: e["args"]["name"] for e in events if e["ph"] == "M"}
    work = {(e["name"], names[e["tid"]], e["ts"], e["dur"]) for e in events if e["ph"] == "X"}
    assert work == {
        ("one", "judge", 0, 2_000_000),
        ("two", "judge 2", 1_000_000, 1_000_000),
        ("work", "judge", 2_000_000, 1_500_000),
    }


def test_only_a_trace_or_nothing_is_replaced_by_a_trace(tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    check_is_trace(file)
    Trace().write(file)
    check_is_trace(file)
    file.write_text("", encoding="utf-8")
    check_is_trace(file)
    file.write_text('{"n_trials": 3}', encoding="utf-8")
    with pytest.raises(ConfigError, match="exists and is not a trace"):
        check_is_trace(file)
