"""Traces where the time of a run goes: spans of work on named tracks, and the idle share of the engines."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tvmerge._util.files import write_text

ENGINE = "engine"
"""The tracks of engines start with this."""


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of work.

    Attributes:
        track: Who did it.
        name: What was done.
        start: When it began, in seconds of the trace's clock.
        end: When it ended.
    """

    track: str
    name: str
    start: float
    end: float


class Trace:
    """Takes note of pieces of work; not for use from several threads at once.

    Args:
        clock: Gives the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._tracks: dict[str, None] = {}
        self.spans: list[Span] = []

    def declare(self, track: str) -> None:
        """Say that `track` exists, whether or not it ever gets work."""
        self._tracks[track] = None

    @contextmanager
    def span(self, track: str, name: str) -> Iterator[None]:
        """The block is a piece of work on `track`, however it ends."""
        self.declare(track)
        start = self._clock()
        try:
            yield
        finally:
            self.spans.append(Span(track, name, start, self._clock()))

    def idle_share(self, kind: str = ENGINE) -> float | None:
        """Share of time that the tracks whose names start with `kind` did nothing; None: none did anything.

        Counted from the first piece of work of any of them to the end of the last one.
        """
        tracks = [track for track in self._tracks if track.startswith(kind)]
        spans = [span for span in self.spans if span.track in set(tracks)]
        whole = max((s.end for s in spans), default=0.0) - min((s.start for s in spans), default=0.0)
        if whole <= 0:
            return None
        return 1 - sum(span.end - span.start for span in spans) / (len(tracks) * whole)

    def write(self, path: Path) -> None:
        """Write Chrome's trace format, which chrome://tracing and ui.perfetto.dev show."""
        rows = _lanes(self.spans)
        numbers = {row: number for number, row in enumerate(sorted({row for row, _ in rows}))}
        names: list[dict[str, Any]] = [
            {"ph": "M", "name": "thread_name", "pid": 1, "tid": number, "args": {"name": row}}
            for row, number in numbers.items()
        ]
        origin = min((span.start for span in self.spans), default=0.0)
        work = [
            {
                "ph": "X",
                "name": span.name,
                "cat": span.track,
                "pid": 1,
                "tid": numbers[row],
                "ts": round((span.start - origin) * 1e6),
                "dur": round((span.end - span.start) * 1e6),
            }
            for row, span in rows
        ]
        write_text(path, json.dumps({"traceEvents": names + work, "displayTimeUnit": "ms"}))


def _lanes(spans: Sequence[Span]) -> list[tuple[str, Span]]:
    """Each span with the row it is drawn on; spans of one track that overlap get rows of their own."""
    ends: dict[str, list[float]] = {}
    placed: list[tuple[str, Span]] = []
    for span in sorted(spans, key=lambda s: s.start):
        lanes = ends.setdefault(span.track, [])
        free = next((lane for lane, end in enumerate(lanes) if end <= span.start), len(lanes))
        lanes[free : free + 1] = [span.end]
        placed.append((span.track if free == 0 else f"{span.track} {free + 1}", span))
    return placed
