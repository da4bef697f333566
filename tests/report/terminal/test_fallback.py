"""A display that fails ends no run: lines take over from the live view, and silence from both."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import pytest

from tests.terminals import terminal
from tvmerge.records import Recipe, Trial
from tvmerge.report.terminal.event_log import EventLog
from tvmerge.report.terminal.progress import Progress
from tvmerge.report.terminal.view import Row, live_rows

SHOW_CURSOR, HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """An event that, once set, makes the live view fail."""
    begun = threading.Event()

    def rows(*args: Any, **settings: Any) -> list[Row]:
        if begun.is_set():
            raise ZeroDivisionError("of a time\nleft")
        return live_rows(*args, **settings)

    monkeypatch.setattr("tvmerge.report.terminal.live.live_rows", rows)
    return begun


@contextmanager
def unread() -> Iterator[TextIO]:
    """A stream whose reader goes away after the first line."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream, os.fdopen(reading) as reader:
        stream.write("the first line\n")
        stream.flush()
        reader.readline()
        reader.close()
        yield stream


def told(number: int) -> Trial:
    return Trial(number, Recipe({"norm": 1.0}), 5.0, "COMPLETE", {"se": 0.2})


def logged(path: Path) -> list[str]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [row["text"] for row in rows if row["kind"] == "note"]


def test_lines_take_over_from_a_view_that_cannot_be_drawn_and_say_so_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failing: threading.Event
) -> None:
    before = sys.stderr
    log = EventLog(tmp_path / "log")
    with terminal(monkeypatch) as (stream, seen), Progress(stream=stream, log=log, tick=None) as progress:
        progress.search_started(3)
        progress.note("a note above the view")
        failing.set()
        progress.phase("writing")
        assert sys.stderr is before
        progress.note("a note of its own")
        progress.trial_told(told(0), told(0))
    assert progress.lost == ""
    notes = logged(tmp_path / "log")
    reason = (
        "progress is shown in lines from now on: ZeroDivisionError: of a time left "
        "(test_fallback.py, line N); please report this error"
    )
    assert [re.sub(r"line \d+", "line N", note) for note in notes] == [
        "a note above the view",
        reason,
        "a note of its own",
    ]
    after = seen[0][seen[0].rindex(SHOW_CURSOR) :]
    assert seen[0].rindex(SHOW_CURSOR) > seen[0].rindex(HIDE_CURSOR)
    assert "progress is shown in lines from now on" in after
    assert "a note of its own" in after
    assert seen[0].count("progress is shown in lines") == 1
    assert "Traceback" not in seen[0]


def test_what_libraries_write_above_a_view_that_cannot_be_drawn_raises_nothing(
    monkeypatch: pytest.MonkeyPatch, failing: threading.Event
) -> None:
    with terminal(monkeypatch) as (stream, seen):
        monkeypatch.setattr(sys, "stderr", stream)
        with Progress(tick=None) as progress:
            progress.search_started(3)
            failing.set()
            sys.stderr.write("a warning of a library\n")
            progress.note("a note")
            progress.note("another note")
    assert seen[0].count("a warning of a library") == 1
    assert seen[0].count("a note\r\n") == 1
    assert seen[0].count("another note\r\n") == 1


def test_a_stream_that_nobody_reads_any_more_is_told_in_the_log_and_at_the_end(tmp_path: Path) -> None:
    with unread() as stream, Progress(stream=stream, log=EventLog(tmp_path / "log")) as progress:
        progress.search_started(3)
        progress.note("a note")
        progress.trial_told(told(0), told(0))
        stream.write("what a library writes later\n")
        stream.flush()
    assert progress.lost == (
        "progress is not shown any more, because standard error cannot be written: Broken pipe"
    )
    assert logged(tmp_path / "log") == [progress.lost, "a note"]


def test_a_terminal_that_is_gone_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    pty = pytest.importorskip("pty", reason="pseudo-terminals exist on POSIX systems only")
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as stream, Progress(stream=stream, tick=0.001) as progress:
        progress.search_started(3)
        os.close(ours)
        progress.note("a note")
        progress.trial_told(told(0), told(0))
    assert "standard error cannot be written: Input/output error" in progress.lost


def test_a_stream_that_the_process_has_closed_ends_no_run() -> None:
    stream = io.StringIO()
    with Progress(stream=stream, tick=None) as progress:
        progress.search_started(3)
        stream.close()
        progress.note("a note")
    assert "I/O operation on closed file" in progress.lost


def test_threads_that_find_the_stream_broken_at_once_say_so_once(tmp_path: Path) -> None:
    with unread() as stream, Progress(stream=stream, log=EventLog(tmp_path / "log")) as progress:
        threads = [threading.Thread(target=progress.note, args=("a note",)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sum("not shown any more" in note for note in logged(tmp_path / "log")) == 1


def test_a_process_without_standard_error_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with Progress() as progress:
        progress.search_started(3)
        progress.note("a note")
    assert progress.lost == ""


def test_the_error_of_a_function_that_gets_the_lines_is_its_own() -> None:
    def refuse(line: str) -> None:
        raise LookupError(line)

    with pytest.raises(LookupError, match="a note"), Progress(tell=refuse, tick=None) as progress:
        progress.note("a note")
