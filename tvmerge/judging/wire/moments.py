"""Parses durations and times in all the formats that response headers use."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_UNIX = 1e9
"""Numbers from this on are times since 1970; as seconds to wait they would be 31 years."""

_UNIX_IN_PARTS = 1e11
"""Numbers from this on are such times in milliseconds or finer units; in seconds, it is the year 5138."""

_LONGEST = 100
"""Maximum number of characters of a time in any format."""

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?)\s*(ms|us|µs|ns|d|h|m|s)\s*")


@dataclass(frozen=True, slots=True)
class Wait:
    """A time to wait.

    Attributes:
        seconds: Seconds from now; 0 if it is over.
        moment: Whether it was given as a point in time, not as a duration.
    """

    seconds: float
    moment: bool = False


def read_wait(text: str, now: Callable[[], float]) -> Wait | None:
    """Return how long to wait according to a header's value, or None if it has an unknown format.

    Known formats are numbers of seconds (`6`, `0.5`), durations (`6m0s`, `120ms`), times in seconds,
    milliseconds or finer units since 1970 (`1795860000`, `1795860000000`), HTTP dates and RFC 3339.

    Args:
        text: The value.
        now: Returns the seconds since 1970.
    """
    text = text.strip().replace("\u03bc", "µ")
    if len(text) > _LONGEST:
        return None
    number = positive(text)
    if number is not None:
        return Wait(number) if number < _UNIX else _until(_in_seconds(number), now)
    seconds = _duration(text)
    if seconds is not None:
        return Wait(seconds)
    moment = _moment(text)
    return None if moment is None else _until(moment, now)


def positive(text: str | None) -> float | None:
    """Return `text` as a finite number of at least 0, or None."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None


def _in_seconds(moment: float) -> float:
    while moment >= _UNIX_IN_PARTS:
        moment /= 1000
    return moment


def _until(moment: float, now: Callable[[], float]) -> Wait:
    return Wait(max(0.0, moment - now()), moment=True)


def _duration(text: str) -> float | None:
    if not text or _PART.sub("", text):
        return None
    total = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    return positive(str(total))


def _moment(text: str) -> float | None:
    """Return the seconds since 1970 of a date."""
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            date = read(text)
            return date.replace(tzinfo=date.tzinfo or UTC).timestamp()
        except (ValueError, OverflowError):
            continue
    return None
