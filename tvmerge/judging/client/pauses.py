"""What a judge waits for, told to the user while it lasts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

_EVERY = 15.0
"""Seconds between two lines at least, and of silence at most."""

_BRIEF = 3.0
"""Seconds that a single wait lasts which is not worth a line."""

_FAR = 1000 * 365 * 86400.0
"""Seconds that are told in the place of longer ones, for which there may be no date."""


@dataclass(frozen=True, slots=True)
class _Wait:
    until: float
    why: str
    latest: bool


class Pauses:
    """Says until when nothing is sent, and why, wherever in the layer that is decided.

    A wait of some seconds is told as it begins, and again every `every` seconds while it lasts. Short ones
    are told where they have followed each other for that long without a reply. Of several the one is told
    that ends first. A wait ends by itself when its time is over.

    Args:
        show: Shows a line about what is waited for, in the place of the one before; an empty one where
            nothing is waited for any more.
        every: Seconds between two lines, at least.
        wall: Gives the seconds since 1970.
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
        """Note that `who` waits for so long, in the place of what it waited for before.

        Args:
            who: Who waits.
            seconds: So long.
            why: What for.
            latest: It waits no longer than that, and mostly less.
        """
        now = _now()
        self._waits[who] = _Wait(now + seconds, why, latest)
        if self._quiet_since is None:
            self._quiet_since = now
        self._look()

    def over(self, who: object) -> None:
        """Note that `who` waits no more, before its time."""
        if self._waits.pop(who, None) is not None:
            self._look()

    def answered(self) -> None:
        """Note that a reply came: what is still waited for is not all there is."""
        self._quiet_since = None if not self._waits else _now()

    def _look(self) -> None:
        """Tell what is due, and look again when something may be."""
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
            until = clock(first.until - now, self._wall())
            self._show(f"waiting until {until}{' at the latest' if first.latest else ''}: {first.why}")
        next_end = min(wait.until for wait in self._waits.values())
        self._timer = asyncio.get_running_loop().call_at(min(self._due(now), next_end), self._look)

    def _due(self, now: float) -> float:
        """When the next line is."""
        lasting = any(wait.until - now >= _BRIEF for wait in self._waits.values())
        quiet_since = now if self._quiet_since is None else self._quiet_since
        return max(now if lasting else quiet_since + self._every, self._told_at + self._every)

    def _clear(self) -> None:
        if self._shown:
            self._shown = False
            self._show("")


def clock(seconds: float, now: float) -> str:
    """The local time after this many seconds, to the second; with the date where that is not today's.

    Args:
        seconds: From now on.
        now: Seconds since 1970.
    """
    moment = datetime.fromtimestamp(now + min(seconds, _FAR), UTC).astimezone()
    today = datetime.fromtimestamp(now, UTC).astimezone().date()
    return f"{moment:%H:%M:%S}" if moment.date() == today else f"{moment:%Y-%m-%d %H:%M}"


def _now() -> float:
    return asyncio.get_running_loop().time()
