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
from tvmerge.errors import ConfigError

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


@dataclass(frozen=True, slots=True)
class Work:
    """A piece of work that is being done.

    Attributes:
        track: The track, which names the worker.
        name: The kind of work.
        of: What it is done for; compared by identity.
    """

    track: str
    name: str
    of: object = None


class Trace:
    """Records spans of work from one thread; others may read what is being done.

    Args:
        clock: Returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._tracks: dict[str, None] = {}
        self._open: dict[int, Work] = {}
        self._seconds: dict[tuple[str, str], float] = {}
        self.spans: list[Span] = []

    def declare(self, track: str) -> None:
        """Declare that `track` exists, even if it never gets work."""
        self._tracks[track] = None

    @contextmanager
    def span(self, track: str, name: str, of: object = None) -> Iterator[None]:
        """Record the block as a span on `track`, also if it raises.

        Args:
            track: The track.
            name: The kind of work.
            of: What the work is done for.
        """
        self.declare(track)
        start, work = self._clock(), Work(track, name, of)
        self._open[id(work)] = work
        try:
            yield
        finally:
            del self._open[id(work)]
            end = self._clock()
            self.spans.append(Span(track, name, start, end))
            self._seconds[track, name] = self._seconds.get((track, name), 0.0) + end - start

    def working(self) -> list[Work]:
        """Return what is being done now."""
        return list(self._open.values())

    def seconds(self, name: str, kind: str = ENGINE) -> float:
        """Return the total seconds of the spans of this name, on all tracks of a kind."""
        known = list(self._seconds.items())
        return sum(seconds for (track, of), seconds in known if of == name and track.startswith(kind))

    def tracks(self, kind: str = ENGINE) -> int:
        """Return the number of tracks of a kind."""
        return sum(track.startswith(kind) for track in list(self._tracks))

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


_START = b'{"traceEvents"'
"""How a trace begins."""


def check_is_trace(path: Path) -> None:
    """Check that a file is a trace, empty or missing, so that it may be replaced by a trace.

    Raises:
        ConfigError: It is something else, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(_START))
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(f"--trace {path}: cannot be read: {error.strerror or error}") from error
    if start not in {b"", _START}:
        raise ConfigError(f"--trace {path} exists and is not a trace; name another file")


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
