"""The JSON of a reply."""

from __future__ import annotations

import httpx
import pytest

from tvmerge.errors import TransientError
from tvmerge.judging.wire.replies import connection_error, read_json


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


@pytest.mark.parametrize(
    ("name", "sent", "unanswered"),
    [
        ("ConnectError", False, False),
        ("PoolTimeout", False, False),
        ("WriteError", True, False),
        ("WriteTimeout", True, False),
        ("ReadError", True, True),
        ("ReadTimeout", True, True),
        ("RemoteProtocolError", True, True),
    ],
)
def test_what_a_provider_may_bill_is_what_it_had_whole(name: str, sent: bool, unanswered: bool) -> None:
    error = connection_error(getattr(httpx, name)("it broke"))
    assert (error.sent, error.unanswered) == (sent, unanswered)
