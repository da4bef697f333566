"""The bound of `--stop-when`."""

from __future__ import annotations

import pytest

from tvmerge.errors import ConfigError
from tvmerge.study.stop_when import StopWhen


@pytest.mark.parametrize(
    ("text", "bound", "per_usd", "shown"),
    [
        ("0.05", 0.05, False, "0.05 points"),
        (" 1e-3 ", 0.001, False, "0.001 points"),
        ("0.1/USD", 0.1, True, "0.1 points per USD"),
        ("2/usd", 2.0, True, "2 points per USD"),
    ],
)
def test_a_bound_is_points_or_points_per_usd(text: str, bound: float, per_usd: bool, shown: str) -> None:
    found = StopWhen.read(text)
    assert found == StopWhen(bound, per_usd)
    assert str(found) == shown


@pytest.mark.parametrize("text", ["", "soon", "0", "-0.1", "nan", "inf", "/USD", "0.1/EUR", "5%"])
def test_anything_else_is_refused_with_the_text_as_given(text: str) -> None:
    with pytest.raises(ConfigError, match=r"stop_when must be points such as 0\.05, .* got '") as refused:
        StopWhen.read(text)
    assert f"got '{text}'" in str(refused.value)
