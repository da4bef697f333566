"""What all HTTP providers share: the key, and what headers say."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tvmerge.judging.client.rate_headers import RateLimits
from tvmerge.judging.wire.moments import positive, read_wait

_HINT = re.compile(
    r"(?:try again|retry) (?:in|after) ((?:[0-9.]+ ?(?:ms|sec(?:ond)?s?|min(?:ute)?s?|hours?|s|m|h)\b ?)+)"
    r"|(?:try again|retry) (?:in|after) ((?:[0-9.]+(?:ms|s|m|h))+)|retrydelay\W+([0-9.]+s)"
)
_LONG_UNITS = re.compile(r" ?(s|m|h)(?:ec(?:ond)?s?|in(?:ute)?s?|ours?)\b ?")
_ASTRAY = 5.0
"""Seconds that two clocks may differ: `date` tells whole seconds, and a reply takes some to arrive."""
_QUOTED = 4
"""Characters of a key that say something of it."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that does not show itself.

    Attributes:
        secret: The key, or an empty string where none is sent.
        variable: The environment variable it came from.
    """

    secret: str = field(repr=False)
    variable: str

    def blotted(self, text: str) -> str:
        """`text` with the key blotted out: a server may send it back."""
        return text.replace(self.secret, "***") if self.secret else text

    def blotted_out(self, text: str) -> str:
        """`text` without any word that holds the beginning or the end of the key: some quote half of it."""
        ends = {self.secret[:_QUOTED], self.secret[-_QUOTED:]} if self.secret else set()
        words = text.split()
        return " ".join("***" if any(end in word for end in ends) else word for word in words)


def provider_clock(headers: Mapping[str, str], wall: Callable[[], float] = time.time) -> float:
    """Seconds since 1970 by the provider's clock, which its `date` tells; by ours where the two agree.

    Moments are told by that clock, and a machine's own may be hours off.
    """
    now = wall()
    told = read_wait(headers.get("date", ""), lambda: 0.0)
    return told.seconds if told and told.moment and abs(told.seconds - now) > _ASTRAY else now


def retry_after(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> float | None:
    """Seconds the provider asks to wait: `retry-after-ms`, `retry-after`, or the reset of what is used up."""
    moment = provider_clock(headers, now)
    milliseconds = positive(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    wait = read_wait(headers.get("retry-after", ""), lambda: moment)
    if wait is not None:
        return wait.seconds
    asked = rate_limits(headers, now).pause()
    return None if asked is None else asked.seconds


def rate_limits(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> RateLimits:
    """The limits that response headers tell.

    They are spelled as OpenAI does (`x-ratelimit-reset-requests`), as Anthropic does
    (`anthropic-ratelimit-requests-reset`), or without saying of what (`x-ratelimit-reset`,
    `ratelimit-reset`), which is taken to be requests in a fixed window.
    """
    moment = provider_clock(headers, now)
    requests, tokens = (_Limit.read(headers, kind, lambda: moment) for kind in ("requests", "tokens"))
    return RateLimits(
        requests=requests.limit,
        requests_left=requests.left,
        requests_reset=requests.reset,
        tokens=tokens.limit,
        tokens_left=tokens.left,
        tokens_reset=tokens.reset,
        at_once=requests.at_once or tokens.at_once,
        requests_told=requests.told,
        tokens_told=tokens.told,
    )


@dataclass(frozen=True, slots=True)
class _Limit:
    """What headers tell of one limit."""

    limit: int | None
    left: int | None
    reset: float | None
    at_once: bool
    told: str

    @classmethod
    def read(cls, headers: Mapping[str, str], kind: str, now: Callable[[], float]) -> _Limit:
        def value(what: str) -> tuple[str, str]:
            return next(((n, headers[n]) for n in _names(kind, what) if n in headers), ("", ""))

        name, text = value("reset")
        wait = read_wait(text, now)
        plain = name in _names(kind, "reset")[2:]
        # Anthropic tells a moment as well, but fills up steadily until then.
        moment = wait is not None and wait.moment and not name.startswith("anthropic-")
        return cls(
            limit=_count(value("limit")[1]),
            left=_count(value("remaining")[1]),
            reset=None if wait is None else wait.seconds,
            at_once=plain or moment,
            told=f"{name}: {text}" if name else "",
        )


def _names(kind: str, what: str) -> tuple[str, ...]:
    """The headers that tell it, as people spell them; those that do not say of what come last."""
    plain = (f"x-ratelimit-{what}", f"ratelimit-{what}") if kind == "requests" else ()
    return (f"x-ratelimit-{what}-{kind}", f"anthropic-ratelimit-{kind}-{what}", *plain)


def _count(text: str) -> int | None:
    """The number in `100`, or the first in `100, 100;w=60`."""
    number = positive(text.partition(",")[0].partition(";")[0])
    return None if number is None else int(number)


def lower_case(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers by lower-case name."""
    return {name.lower(): value for name, value in headers.items()}


def top_level(path: str) -> str:
    """The parameter of a body that a path such as `messages[0].role` leads to."""
    return re.split(r"[.\[]", path, maxsplit=1)[0]


def hinted_wait(said: str) -> float | None:
    """Seconds to wait that only the message tells: OpenAI's "try again in 6s", Gemini's retryDelay."""
    hint = _HINT.search(said)
    told = "" if hint is None else _LONG_UNITS.sub(r"\1", hint[1] or hint[2] or hint[3])
    wait = read_wait(told, time.time)
    return None if wait is None else wait.seconds
