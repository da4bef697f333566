"""Shows the user what a judge is waiting for."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

_EVERY = 15.0
"""Minimum seconds between two lines, and maximum seconds without one."""

_BRIEF = 3.0
"""Seconds up to which a single wait is not shown."""

_FAR = 1000 * 365 * 86400.0
"""Maximum seconds of a wait that is shown; a longer one might end beyond the last possible date."""


@dataclass(frozen=True, slots=True)
class _Wait:
    until: float
    why: str
    latest: bool


class Pauses:
    """Shows until when nothing is sent, and why, for all parts of the client.

    A wait of more than a few seconds is shown when it begins and again every `every` seconds. Short waits are
    shown once they have followed each other for that long without a reply. Of several waits, the one that
    ends first is shown. A wait ends by itself when its time is over.

    Args:
        show: Shows a line that replaces the previous one; an empty line when nothing is waited for any more.
        every: Minimum seconds between two lines.
        wall: Returns the seconds since 1970.
    """

    def __init__(
        self,
        show: Callable[[str], None] = lambda _: None,
        *,
        every: float = _EVERY,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._show = show
        self._every = every
        self._wall = wall
        self._waits: dict[object, _Wait] = {}
        self._quiet_since: float | None = None
        self._told_at = -float("inf")
        self._shown = False
        self._timer: asyncio.TimerHandle | None = None

    def wait(self, who: object, seconds: float, why: str, *, latest: bool = False) -> None:
        """Note that `who` is waiting, instead of whatever it waited for before.

        Args:
            who: Identifies what is waiting.
            seconds: How long it waits; infinite if nobody knows, until `over`.
            why: The reason, for the message.
            latest: Whether `seconds` is a maximum and the wait usually ends earlier.
        """
        now = _now()
        self._waits[who] = _Wait(now + seconds, why, latest)
        if self._quiet_since is None:
            self._quiet_since = now
        self._look()

    def over(self, who: object) -> None:
        """Note that `who` has stopped waiting early."""
        if self._waits.pop(who, None) is not None:
            self._look()

    def answered(self) -> None:
        """Note that a reply arrived, so that not everything is waiting."""
        self._quiet_since = None if not self._waits else _now()

    def _look(self) -> None:
        """Show the line that is due, and schedule the next check."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = _now()
        self._waits = {who: wait for who, wait in self._waits.items() if wait.until > now}
        if not self._waits:
            self._clear()
            return
        if now >= self._due(now):
            self._told_at, self._shown = now, True
            first = min(self._waits.values(), key=lambda wait: wait.until)
            self._show(f"waiting{self._end_of(first, now)}: {first.why}")
        next_end = min(wait.until for wait in self._waits.values())
        self._timer = asyncio.get_running_loop().call_at(min(self._due(now), next_end), self._look)

    def _end_of(self, wait: _Wait, now: float) -> str:
        if math.isinf(wait.until):
            return ""
        until = clock(wait.until - now, self._wall())
        return f" until {until}{' at the latest' if wait.latest else ''}"

    def _due(self, now: float) -> float:
        """Return when the next line is due."""
        lasting = any(wait.until - now >= _BRIEF for wait in self._waits.values())
        quiet_since = now if self._quiet_since is None else self._quiet_since
        return max(now if lasting else quiet_since + self._every, self._told_at + self._every)

    def _clear(self) -> None:
        if self._shown:
            self._shown = False
            self._show("")


def clock(seconds: float, now: float) -> str:
    """Format the local time after this many seconds, with the date if it is not today's.

    Args:
        seconds: Seconds from now.
        now: Seconds since 1970.
    """
    moment = datetime.fromtimestamp(now + min(seconds, _FAR), UTC).astimezone()
    today = datetime.fromtimestamp(now, UTC).astimezone().date()
    return f"{moment:%H:%M:%S}" if moment.date() == today else f"{moment:%Y-%m-%d %H:%M}"


def _now() -> float:
    return asyncio.get_running_loop().time()
