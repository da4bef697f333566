"""What a call was billed for is what a provider says, if it can be true."""

from __future__ import annotations

import pytest

from tvmerge.judging.client.chat import Usage
from tvmerge.judging.wire.usage import usage_of


def test_tokens_of_the_cache_are_tokens_of_the_prompt() -> None:
    assert usage_of(9, 3) == Usage(9, 3)
    assert usage_of(9.0, 3.0, 100, None) == Usage(109, 3)


@pytest.mark.parametrize("odd", [-1, True, None, "9", float("nan"), float("inf"), 10**25, [9]])
def test_impossible_numbers_say_nothing(odd: object) -> None:
    assert usage_of(odd, 3) is None
    assert usage_of(9, odd) is None
    assert odd is None or usage_of(9, 3, odd) is None
