"""Records where the time of a run goes: spans of work on named tracks, and the idle share of engines."""

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
"""The prefix of the names of engines' tracks."""


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of work.

    Attributes:
        track: The track, which names the worker.
        name: The kind of work.
        start: The start time, in seconds of the trace's clock.
        end: The end time.
    """

    track: str
    name: str
    start: float
    end: float


class Trace:
    """Records spans of work; not thread-safe.

    Args:
        clock: Returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._tracks: dict[str, None] = {}
        self.spans: list[Span] = []

    def declare(self, track: str) -> None:
        """Declare that `track` exists, even if it never gets work."""
        self._tracks[track] = None

    @contextmanager
    def span(self, track: str, name: str) -> Iterator[None]:
        """Record the block as a span on `track`, also if it raises."""
        self.declare(track)
        start = self._clock()
        try:
            yield
        finally:
            self.spans.append(Span(track, name, start, self._clock()))

    def idle_share(self, kind: str = ENGINE) -> float | None:
        """Return the idle fraction of the tracks whose names start with `kind`; None without any work.

        It is computed over the time from the start of their first span to the end of their last one.
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
    """Yield each span with its row; overlapping spans of a track are put on separate rows."""
    ends: dict[str, list[float]] = {}
    placed: list[tuple[str, Span]] = []
    for span in sorted(spans, key=lambda s: s.start):
        lanes = ends.setdefault(span.track, [])
        free = next((lane for lane, end in enumerate(lanes) if end <= span.start), len(lanes))
        lanes[free : free + 1] = [span.end]
        placed.append((span.track if free == 0 else f"{span.track} {free + 1}", span))
    return placed
