"""What a call was billed for is what a provider says, if it can be true."""

from __future__ import annotations

import pytest

from tvmerge.judging.client.chat import Usage
from tvmerge.judging.wire.usage import usage_of


def test_tokens_of_the_cache_are_tokens_of_the_prompt() -> None:
    assert usage_of(9, 3) == Usage(9, 3)
    assert usage_of(9.0, 3.0, 100, None) == Usage(109, 3)


def test_the_rest_of_the_total_is_thoughts() -> None:
    assert usage_of(32, 9, total=135) == Usage(32, 103)
    assert usage_of(32, 9, 10, total=135) == Usage(42, 93)


@pytest.mark.parametrize("total", [None, 0, 12, 3])
def test_a_total_takes_nothing_from_the_reply(total: object) -> None:
    assert usage_of(9, 3, total=total) == Usage(9, 3)


@pytest.mark.parametrize("odd", [-1, True, None, "9", float("nan"), float("inf"), 10**25, [9]])
def test_impossible_numbers_say_nothing(odd: object) -> None:
    assert usage_of(odd, 3) is None
    assert usage_of(9, odd) is None
    assert odd is None or usage_of(9, 3, odd) is None
    assert odd is None or usage_of(9, 3, total=odd) is None
