"""How long to wait, in each way that headers tell it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvmerge.judging.wire.moments import Wait, read_wait

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()


def read(text: str) -> Wait | None:
    return read_wait(text, lambda: NOON)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6", 6.0),
        (" 0.5 ", 0.5),
        ("86400", 86400.0),
        ("6m0s", 360.0),
        ("2m59.56s", 179.56),
        ("120ms", 0.12),
        ("853.2\u00b5s", 0.0008532),
        ("853.2\u03bcs", 0.0008532),
        ("1h 2m", 3720.0),
        ("1760000000s", 1760000000.0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    found = read(text)
    assert found is not None
    assert found.seconds == pytest.approx(seconds)
    assert not found.moment


@pytest.mark.parametrize(
    "text",
    [
        f"{NOON + 5:.0f}",
        f"{NOON + 5:.3f}",
        f"{(NOON + 5) * 1e3:.0f}",
        f"{(NOON + 5) * 1e6:.0f}",
        f"{(NOON + 5) * 1e9:.0f}",
        "2026-11-24T12:00:05Z",
        "2026-11-24T21:00:05+09:00",
        "2026-11-24 12:00:05",
        "Tue, 24 Nov 2026 12:00:05 GMT",
    ],
)
def test_moments(text: str) -> None:
    found = read(text)
    assert found is not None
    assert found.seconds == pytest.approx(5.0, abs=1e-3)
    assert found.moment


@pytest.mark.parametrize("text", ["1700000000", "1700000000000", "2020-01-01T00:00:00Z"])
def test_what_is_over_takes_no_time(text: str) -> None:
    assert read(text) == Wait(0.0, moment=True)


@pytest.mark.parametrize(
    "text",
    [
        *("", "soon", "-1", "nan", "inf", "5 parsecs", "m", "s5", "9" * 400 + "s"),
        *(f"Fri, 27 Nov 2026 10:{'9' * 40}:00 GMT", f"Fri, 27 Nov {'9' * 40} 10:00:00 GMT"),
    ],
)
def test_what_is_not_understood_says_nothing(text: str) -> None:
    assert read(text) is None


PARTS = [
    "0",
    "9",
    "59",
    "1795860000",
    ".",
    "-",
    "+",
    ":",
    " ",
    "T",
    "Z",
    "s",
    "ms",
    "Fri, ",
    "Nov",
    "GMT",
    "inf",
]


@given(st.text() | st.lists(st.sampled_from(PARTS), max_size=12).map("".join))
def test_no_text_is_an_error(text: str) -> None:
    found = read(text)
    assert found is None or 0 <= found.seconds < float("inf")


@given(st.integers(0, 10**6))
def test_a_duration_means_the_same_however_it_is_written(seconds: int) -> None:
    hours, rest = divmod(seconds, 3600)
    for text in (str(seconds), f"{seconds}s", f"{seconds * 1000}ms", f"{hours}h{rest // 60}m{rest % 60}s"):
        found = read(text)
        assert found is not None
        assert found.seconds == pytest.approx(seconds)
