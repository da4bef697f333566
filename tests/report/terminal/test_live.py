"""Where a terminal shows ASCII only. The view itself is tested in test_progress and in the tests of runs."""

from __future__ import annotations

import io

import pytest

from tvmerge.report.terminal.live import shows_ascii_only


@pytest.mark.parametrize(
    ("encoding", "environment", "expected"),
    [
        ("utf-8", {}, False),
        ("UTF8", {"LANG": "ja_JP.UTF-8"}, False),
        ("ascii", {"LANG": "ja_JP.UTF-8"}, True),
        ("latin-1", {}, True),
        ("utf-8", {"LANG": "C"}, True),
        ("utf-8", {"LANG": "C", "LC_CTYPE": "C.UTF-8"}, True),  # Python has set LC_CTYPE
        ("utf-8", {"LC_ALL": "POSIX", "LANG": "en_US.UTF-8"}, True),
        ("utf-8", {"LANG": "C", "LC_ALL": "C.UTF-8"}, False),
        ("utf-8", {"LANG": "C", "LC_CTYPE": "en_US.UTF-8"}, False),
        ("utf-8", {"LANG": "C.UTF-8"}, False),
    ],
)
def test_ascii_only_is_shown_in_the_locale_c_and_where_the_encoding_has_no_more(
    encoding: str, environment: dict[str, str], expected: bool
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    assert shows_ascii_only(stream, environment) is expected
