"""When something is over, in each way that response headers tell it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_UNIX = 1e9
"""Numbers from here on are moments since 1970: as seconds to wait they would be 31 years."""

_UNIX_IN_PARTS = 1e11
"""Numbers from here on are such moments in milliseconds or less: in seconds it would be the year 5138."""

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?)\s*(ms|us|µs|ns|d|h|m|s)\s*")


@dataclass(frozen=True, slots=True)
class Wait:
    """How long something takes yet.

    Attributes:
        seconds: From now on; 0 where it is over.
        moment: It was told as a moment, not as a duration.
    """

    seconds: float
    moment: bool = False


def read_wait(text: str, now: Callable[[], float]) -> Wait | None:
    """How long to wait by a header's value; None where it says nothing that is understood.

    Understood are numbers of seconds (`6`, `0.5`), durations (`6m0s`, `120ms`), moments in seconds,
    milliseconds or less since 1970 (`1795860000`, `1795860000000`), dates of HTTP and of RFC 3339.

    Args:
        text: The value.
        now: Gives the seconds since 1970.
    """
    text = text.strip().replace("\u03bc", "µ")
    number = positive(text)
    if number is not None:
        return Wait(number) if number < _UNIX else _until(_in_seconds(number), now)
    seconds = _duration(text)
    if seconds is not None:
        return Wait(seconds)
    date = _date(text)
    return None if date is None else _until(date.replace(tzinfo=date.tzinfo or UTC).timestamp(), now)


def positive(text: str | None) -> float | None:
    """The finite number, not below 0, that `text` is, or None."""
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


def _date(text: str) -> datetime | None:
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            return read(text)
        except ValueError:
            continue
    return None
