"""Headers become seconds and limits."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from tvmerge.judging.client.rate_headers import Pause, RateLimits
from tvmerge.judging.wire.http import lower_case, rate_limits, retry_after

NOON = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


def noon() -> float:
    return NOON.timestamp()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after": format_datetime(NOON.replace(minute=1), usegmt=True)}, 60.0),
        ({"retry-after": format_datetime(NOON.replace(hour=1), usegmt=True)}, 0.0),
        ({"retry-after": f"{NOON.timestamp() + 40:.0f}"}, 40.0),
        ({"retry-after": "1m30s"}, 90.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
    ],
)
def test_retry_after_is_read_in_each_of_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, noon) == seconds


def test_limits_are_read_in_openais_spelling() -> None:
    headers = {
        "X-RateLimit-Limit-Requests": "500",
        "x-ratelimit-remaining-requests": "499",
        "x-ratelimit-reset-requests": "120ms",
        "x-ratelimit-limit-tokens": "30000",
        "x-ratelimit-remaining-tokens": "29000",
        "x-ratelimit-reset-tokens": "6m0s",
    }
    assert rate_limits(lower_case(headers)) == RateLimits(500, 499, 0.12, 30000, 29000, 360.0)


def test_limits_are_read_in_anthropics_spelling() -> None:
    headers = {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "49",
        "anthropic-ratelimit-requests-reset": "2026-11-24T12:00:01Z",
        "anthropic-ratelimit-tokens-limit": "40000",
    }
    assert rate_limits(headers, noon) == RateLimits(50, 49, 1.0, 40000, None, None)


@pytest.mark.parametrize(
    ("limit", "left", "reset"),
    [
        ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"),
        ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"),
    ],
)
def test_limits_that_do_not_say_of_what_are_of_requests_in_a_fixed_window(
    limit: str, left: str, reset: str
) -> None:
    headers = {limit: "20, 20;w=60", left: "0", reset: "7"}
    found = rate_limits(headers, noon)
    assert found == RateLimits(20, 0, 7.0, at_once=True)
    assert found.pause() == Pause(7.0, f"no request is left ({reset}: 7)")


@pytest.mark.parametrize("value", [f"{NOON.timestamp() + 30:.0f}", f"{(NOON.timestamp() + 30) * 1000:.0f}"])
def test_a_limit_that_is_reset_at_a_moment_comes_back_all_at_once(value: str) -> None:
    headers = {
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": value,
    }
    pause = rate_limits(headers, noon).pause()
    assert pause is not None
    assert pause.seconds == pytest.approx(30)
    assert value in pause.why


def test_what_is_used_up_tells_how_long_to_wait_where_nothing_else_does() -> None:
    used_up = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": f"{(NOON.timestamp() + 9) * 1000:.0f}"}
    assert retry_after(used_up, noon) == pytest.approx(9)
    assert retry_after({**used_up, "retry-after": "2"}, noon) == 2
    assert retry_after({**used_up, "x-ratelimit-remaining": "1"}, noon) is None


def test_headers_that_say_nothing_are_no_limits() -> None:
    assert (
        rate_limits({"x-ratelimit-limit-requests": "many", "x-ratelimit-reset-tokens": "?"}) == RateLimits()
    )


@pytest.mark.parametrize(
    "told",
    [
        {"retry-after": "Tue, 24 Nov 2026 09:00:30 GMT"},
        {"retry-after": f"{NOON.timestamp() - 3 * 3600 + 30:.0f}"},
        {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "2026-11-24T09:00:30Z"},
    ],
)
def test_a_moment_is_told_by_the_providers_clock(told: dict[str, str]) -> None:
    headers = {**told, "date": "Tue, 24 Nov 2026 09:00:00 GMT"}
    assert retry_after(headers, noon) == pytest.approx(30)


@pytest.mark.parametrize("date", ["Tue, 24 Nov 2026 11:59:58 GMT", "soon", ""])
def test_clocks_that_agree_or_tell_nothing_are_not_set(date: str) -> None:
    assert retry_after({"retry-after": "Tue, 24 Nov 2026 12:00:30 GMT", "date": date}, noon) == 30
