"""Handles API keys and response headers for all HTTP providers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from tvmerge.errors import TvmergeError
from tvmerge.judging.client.chat import InvalidRequestError
from tvmerge.judging.client.rate_headers import RateLimits
from tvmerge.judging.wire.moments import positive, read_wait

_HINT = re.compile(
    r"(?:try again|retry) (?:in|after) ((?:[0-9.]+ ?(?:ms|sec(?:ond)?s?|min(?:ute)?s?|hours?|s|m|h)\b ?)+)"
    r"|(?:try again|retry) (?:in|after) ((?:[0-9.]+(?:ms|s|m|h))+)|retrydelay\W+([0-9.]+s)"
)
_LONG_UNITS = re.compile(r" ?(s|m|h)(?:ec(?:ond)?s?|in(?:ute)?s?|ours?)\b ?")
_ASTRAY = 5.0
"""Seconds that two clocks may differ: `date` has whole seconds, and a reply takes time to arrive."""
_NO_LIMIT = 1e12
"""Requests or tokens from which on a limit is none."""
_CUT = 12
"""Minimum number of characters of a key that is cut off which reveal something; keys begin alike."""
_QUOTED = 4
"""Minimum number of characters of a key whose quotation reveals something."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key whose `repr` does not show it.

    Attributes:
        secret: The key, or an empty string if none is sent.
        variable: The environment variable it came from.
    """

    secret: str = field(repr=False)
    variable: str

    def blotted(self, text: str) -> str:
        """Return `text` with the key removed, since a server may send it back."""
        return text.replace(self.secret, "***") if self.secret else text

    @contextmanager
    def kept_out_of_errors(self) -> Iterator[None]:
        """Remove the key, and the beginning of one that is cut off, from errors that the block raises."""
        try:
            yield
        except TvmergeError as error:
            error.args = tuple(
                self._without_parts(arg) if isinstance(arg, str) else arg for arg in error.args
            )
            if isinstance(error, InvalidRequestError):
                error.said = self._without_parts(error.said)
            raise

    def _without_parts(self, text: str) -> str:
        for length in range(len(self.secret), _CUT - 1, -1):
            text = text.replace(self.secret[:length], "***")
        return self.blotted(text)

    def blotted_out(self, text: str) -> str:
        """Return `text` without words that contain the start or end of the key, as some servers quote it."""
        ends = {self.secret[:_QUOTED], self.secret[-_QUOTED:]} if self.secret else set()
        words = text.split()
        return " ".join("***" if any(end in word for end in ends) else word for word in words)


def provider_clock(headers: Mapping[str, str], wall: Callable[[], float] = time.time) -> float:
    """Return the seconds since 1970 by the provider's clock (its `date`), or by ours if they agree.

    Times in headers use the provider's clock, and this machine's may be hours off.
    """
    now = wall()
    told = read_wait(headers.get("date", ""), lambda: 0.0)
    return told.seconds if told and told.moment and abs(told.seconds - now) > _ASTRAY else now


def retry_after(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> float | None:
    """Return the seconds the provider asks to wait: `retry-after-ms`, `retry-after`, or a limit's reset."""
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
    """Return the limits in response headers.

    They are named as by OpenAI (`x-ratelimit-reset-requests`), as by Anthropic
    (`anthropic-ratelimit-requests-reset`), or without a unit (`x-ratelimit-reset`, `ratelimit-reset`), which
    is assumed to mean requests in a fixed window.
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
    """One limit, as read from headers."""

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
        # Anthropic gives a time too, but renews steadily until then.
        moment = wait is not None and wait.moment and not name.startswith("anthropic-")
        return cls(
            limit=_count(value("limit")[1]),
            left=_count(value("remaining")[1]),
            reset=None if wait is None else wait.seconds,
            at_once=plain or moment,
            told=f"{name}: {text}" if name else "",
        )


def _names(kind: str, what: str) -> tuple[str, ...]:
    """Return the possible names of a header; those without a unit come last."""
    plain = (f"x-ratelimit-{what}", f"ratelimit-{what}") if kind == "requests" else ()
    return (f"x-ratelimit-{what}-{kind}", f"anthropic-ratelimit-{kind}-{what}", *plain)


def _count(text: str) -> int | None:
    """Return the number in `100`, or the first one in `100, 100;w=60`."""
    number = positive(text.partition(",")[0].partition(";")[0])
    return int(number) if number is not None and number < _NO_LIMIT else None


def lower_case(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers by lower-case name."""
    return {name.lower(): value for name, value in headers.items()}


def top_level(path: str) -> str:
    """Return the top-level parameter of a path such as `messages[0].role`."""
    return re.split(r"[.\[]", path, maxsplit=1)[0]


def hinted_wait(said: str) -> float | None:
    """Return the seconds to wait given in the message: OpenAI's "try again in 6s", Gemini's retryDelay."""
    hint = _HINT.search(said)
    told = "" if hint is None else _LONG_UNITS.sub(r"\1", hint[1] or hint[2] or hint[3])
    wait = read_wait(told, time.time)
    return None if wait is None else wait.seconds
