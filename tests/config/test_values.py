"""Numbers of hundreds of digits are out of bounds, as any other number that is too large."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from tvmerge.config.run import RunConfig
from tvmerge.config.values import settings_for
from tvmerge.engines.settings import AnswerConfig
from tvmerge.errors import ConfigError

HUGE = 10**399


@pytest.mark.parametrize("value", [HUGE, 16**6000], ids=["large", "unprintable"])
def test_a_huge_temperature_is_refused_in_one_line(value: int) -> None:
    with pytest.raises(
        ConfigError, match=r"temperature of c must be a number of at least 0, got a number of"
    ):
        AnswerConfig(temperature={"c": value})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"merge_seed": HUGE}, "merge_seed must be at most 4294967295, got a number of about 399 digits"),
        ({"smooth": -HUGE}, "smooth must be at least 2, got a number of about 399 digits"),
        ({"n_trials": 16**6000}, "n_trials must be at most .*, got a number of about 7,225 digits"),
        ({"weight_max": HUGE}, "weight_max must be finite, got inf"),
        ({"weight_min": -HUGE}, "weight_min must be finite, got -inf"),
        ({"weight_max": Fraction(HUGE)}, "weight_max must be finite, got inf"),
        ({"study_name": 16**6000}, "study_name must be str, got int a number of about 7,225 digits"),
        ({"racing": 16**6000}, "racing must be .*, got int a number of about 7,225 digits"),
    ],
)
def test_huge_numbers_are_refused_in_one_line(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        settings_for(RunConfig, given)
