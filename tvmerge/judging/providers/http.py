"""What all HTTP providers share: reading headers, and turning statuses into our own errors."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from tvmerge.errors import (
    CredentialsError,
    ProviderError,
    QuotaError,
    RequestError,
    TransientError,
    UserError,
)
from tvmerge.judging.chat import FormError, RateLimits, TooLongError
from tvmerge.judging.quota import RenewedQuotaError

_TRANSIENT = frozenset({408, 409, 425, 429})
_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_CONTENT_CODES = frozenset({"content_filter", "invalid_prompt", "content_policy_violation"})
_LENGTH_CODES = frozenset({"context_length_exceeded", "string_above_max_length", "request_too_large"})
_LENGTH_WORDS = ("context length", "context window", "context size", "too many tokens", "prompt is too long")
_CONTENT_WORDS = ("repetitive patterns", "content management policy", "content filtering policy")
_QUOTA_WORDS = ("calls / month", "requestsperday", "requests per day")
_EMPTY_ACCOUNT = "credit balance"
_DURATION = re.compile(r"([0-9.]+)(ms|s|m|h|d)")
_HINT = re.compile(r"(?:try again|retry) in ((?:[0-9.]+(?:ms|s|m|h))+)|retrydelay\W+([0-9.]+s)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
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
    """Seconds the provider asks to wait: `retry-after-ms`, or `retry-after` in seconds or as an HTTP date."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    if value is None:
        return None
    seconds = _number(value)
    if seconds is not None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now())
    except ValueError:
        return None


def rate_limits(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> RateLimits:
    """The limits that response headers tell, in OpenAI's spelling (`x-ratelimit-*`) or Anthropic's."""

    def number(kind: str, what: str) -> int | None:
        value = _number(
            headers.get(f"x-ratelimit-{what}-{kind}", headers.get(f"anthropic-ratelimit-{kind}-{what}"))
        )
        return None if value is None else int(value)

    def reset(kind: str) -> float | None:
        value = headers.get(f"x-ratelimit-reset-{kind}", headers.get(f"anthropic-ratelimit-{kind}-reset"))
        return None if value is None else _duration(value, now)

    return RateLimits(
        requests=number("requests", "limit"),
        requests_left=number("requests", "remaining"),
        requests_reset=reset("requests"),
        tokens=number("tokens", "limit"),
        tokens_left=number("tokens", "remaining"),
        tokens_reset=reset("tokens"),
    )


def lower_case(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers by lower-case name."""
    return {name.lower(): value for name, value in headers.items()}


def _duration(text: str, now: Callable[[], float]) -> float | None:
    """Seconds in `6m0s`, `120ms`, `6` or until an RFC 3339 time."""
    seconds = _number(text)
    if seconds is not None:
        return seconds
    parts = _DURATION.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return sum((_number(number) or 0.0) * _UNITS[unit] for number, unit in parts)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return max(0.0, moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - now())


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
    return None if hint is None else _duration(hint[1] or hint[2], time.time)


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None


def _mentions(text: str, phrases: tuple[str, ...]) -> bool:
    return any(phrase in text for phrase in phrases)
