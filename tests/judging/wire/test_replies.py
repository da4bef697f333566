"""The JSON of a reply."""

from __future__ import annotations

import pytest

from tvmerge.errors import TransientError
from tvmerge.judging.wire.replies import read_json


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("NaN", "NaN, which is not a finite number"),
        ("-Infinity", "not a finite number"),
        ("1e999", "not a finite number"),
        ("1" * 5000, "a number of 5000 digits"),
        ('{"b": 1, "b": 2}', "a key twice"),
        ("[" * 400 + "]" * 400, "nested too deeply"),
        ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
    ],
)
def test_json_that_says_no_one_thing_is_no_reply(value: str, words: str) -> None:
    with pytest.raises(TransientError, match=f"the reply is not JSON: .*{words}"):
        read_json(f'{{"a": {value}}}')


def test_what_replies_have_is_read() -> None:
    body = '{"a": [1, -2.5, 1e3, true, null, "\\ud83d\\ude00"]}'
    assert read_json(body) == {"a": [1, -2.5, 1000.0, True, None, "\N{GRINNING FACE}"]}
    assert read_json('{"a": "\\ud83d"}') == {"a": "\N{REPLACEMENT CHARACTER}"}
    assert read_json(f"{'[' * 100}{']' * 100}")
