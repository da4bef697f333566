"""Values are shown in messages, however long they are."""

from __future__ import annotations

import pytest

from tvmerge._util.shown import shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("日本", "'日本'"),
        (-1.5, "-1.5"),
        (10**29, "1" + 29 * "0"),
        (-(10**399), "a number of about 399 digits"),
        (16**6000, "a number of about 7,225 digits"),
        ([16**6000], "a value with a number of thousands of digits"),
        ("a" * 10_000, f"'{'a' * 199}…"),
    ],
    ids=["text", "fraction", "number", "long", "longer", "listed", "long text"],
)
def test_a_value_is_shown_in_few_words(value: object, text: str) -> None:
    assert shown(value) == text
