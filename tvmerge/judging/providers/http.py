"""What all HTTP providers share: reading headers, and turning statuses into our own errors."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tvmerge.errors import (
    CredentialsError,
    ProviderError,
    QuotaError,
    RequestError,
    TransientError,
    UserError,
)
from tvmerge.judging.chat import FormError, TooLongError
from tvmerge.judging.providers.moments import positive, read_wait
from tvmerge.judging.quota import RenewedQuotaError
from tvmerge.judging.rates import RateLimits

_TRANSIENT = frozenset({408, 409, 425, 429})
_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_CONTENT_CODES = frozenset({"content_filter", "invalid_prompt", "content_policy_violation"})
_LENGTH_CODES = frozenset({"context_length_exceeded", "string_above_max_length", "request_too_large"})
_LENGTH_WORDS = ("context length", "context window", "context size", "too many tokens", "prompt is too long")
_CONTENT_WORDS = ("repetitive patterns", "content management policy", "content filtering policy")
_QUOTA_WORDS = ("calls / month", "requestsperday", "requests per day")
_EMPTY_ACCOUNT = "credit balance"
_HINT = re.compile(r"(?:try again|retry) in ((?:[0-9.]+(?:ms|s|m|h))+)|retrydelay\W+([0-9.]+s)")
_MESSAGE_LENGTH = 300


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


def translate(
    status: int,
    message: str,
    *,
    headers: Mapping[str, str],
    code: str | None = None,
    param: str | None = None,
    key: ApiKey,
) -> ProviderError | UserError:
    """Our own error for an HTTP status that a provider answered with.

    Args:
        status: The status, 400 or more.
        message: What the provider says; it is shortened, and the key blotted out, since some echo it.
        headers: Response headers, by lower-case name.
        code: The provider's own code of the error.
        param: The request parameter that the provider names.
        key: The API key that was sent.
    """
    text = f"HTTP {status}: {' '.join(key.blotted(message).split())[:_MESSAGE_LENGTH]}"
    said = message.lower()
    if status == 401:
        # Not in the provider's words, which may quote half the key.
        return CredentialsError(f"the judge's provider refuses the API key (HTTP 401): check {key.variable}")
    if status == 403:
        return CredentialsError(f"the judge's provider refuses access ({text}): check {key.variable}")
    out_of_quota = status == 429 and _mentions(said, _QUOTA_WORDS)
    if status == 402 or code in _QUOTA_CODES or out_of_quota or _EMPTY_ACCOUNT in said:
        used_up = f"the judge account's quota is used up ({text}); run again when it is renewed"
        renewal = _wait(headers, said) if out_of_quota else None
        return QuotaError(used_up) if renewal is None else RenewedQuotaError(used_up, retry_after=renewal)
    if status in _TRANSIENT or status >= 500:
        return TransientError(text, retry_after=_wait(headers, said), status=status)
    if code in _LENGTH_CODES or status == 413 or _mentions(said, _LENGTH_WORDS):
        return TooLongError(text, status=status, param=param)
    about_content = code in _CONTENT_CODES or _mentions(said, _CONTENT_WORDS)
    return _refusal(text, status, param, about_content=about_content)


def retry_after(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> float | None:
    """Seconds the provider asks to wait: `retry-after-ms`, `retry-after`, or the reset of what is used up."""
    milliseconds = positive(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    wait = read_wait(headers.get("retry-after", ""), now)
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
    requests, tokens = _Limit.read(headers, "requests", now), _Limit.read(headers, "tokens", now)
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


def _refusal(text: str, status: int, param: str | None, *, about_content: bool) -> RequestError:
    if about_content:
        return RequestError(text, status=status, param=param, about_content=True)
    return FormError(
        f"the judge's provider refuses the request ({text}): check the judge's model and parameters",
        status=status,
        param=param,
    )


def _wait(headers: Mapping[str, str], said: str) -> float | None:
    """Seconds the provider asks to wait, in headers or else in words."""
    wait = retry_after(headers)
    return _hinted_wait(said) if wait is None else wait


def _hinted_wait(said: str) -> float | None:
    """Seconds to wait that only the message tells: OpenAI's "try again in 6s", Gemini's retryDelay."""
    hint = _HINT.search(said)
    wait = None if hint is None else read_wait(hint[1] or hint[2], time.time)
    return None if wait is None else wait.seconds


def _mentions(text: str, phrases: tuple[str, ...]) -> bool:
    return any(phrase in text for phrase in phrases)
