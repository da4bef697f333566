"""Whatever is wrong with a text is an error that is expected."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvmerge._util.parsing import parse_json, parse_toml


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100_000,
        '{"a":' * 100_000,
        f"[{'9' * 400}]",
        f"[{'9' * 5000}]",
        b"\xff\xfe\x00",
        '"\x00"',
    ],
    ids=["nothing", "open", "lists", "objects", "long", "endless", "not UTF-8", "NUL"],
)
def test_malformed_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        parse_json(text)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_bytes_are_read_in_each_encoding_of_json_and_a_text_has_no_byte_order_mark(encoding: str) -> None:
    assert parse_json('{"評価": [1, 2.5, "[[7]]"]}'.encode(encoding)) == {"評価": [1, 2.5, "[[7]]"]}
    with pytest.raises(ValueError, match="byte order mark"):
        parse_json("\ufeff{}")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_bytes_nested_too_deeply_are_refused(encoding: str) -> None:
    nested = "[" * 150 + '{"a":' * 100 + "1" + "}" * 100 + "]" * 150
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json(nested.encode(encoding))


@pytest.mark.parametrize(
    "text",
    [
        "a",
        f"a = {'[' * 50_000}",
        f"a = {'9' * 400}",
        f"a = {'9' * 5000}",
        f"a = [{{b = {'9' * 400}}}]",
        "a = \x00",
        f"a = {'[' * 300}{']' * 300}",
        f"{'a.' * 100_000}a = 1",
        f"[{'a.' * 100_000}a]",
    ],
    ids=["no value", "lists", "long", "endless", "within", "NUL", "deep", "parts", "parts of a table"],
)
def test_malformed_toml_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_toml(text)


def test_toml_may_have_many_dots_in_many_lines() -> None:
    assert len(parse_toml("".join(f"k{number} = '{'model.norm,' * 90}'\n" for number in range(999)))) == 999


def test_what_models_have_in_their_files_is_read() -> None:
    assert parse_json('{"model_max_length": 1000000000000000019884624838656}') == {
        "model_max_length": 10**30 + 19884624838656
    }
    assert parse_toml("a = [1, 2.5, {b = 'c'}]") == {"a": [1, 2.5, {"b": "c"}]}


@given(st.text() | st.binary())
def test_any_text_is_read_as_its_parser_reads_it_or_refused(text: str | bytes) -> None:
    assert agree(parse_json, json.loads, text)
    if isinstance(text, str):
        assert agree(parse_toml, tomllib.loads, text)


def agree(parse: Callable[[Any], object], plain: Callable[[Any], object], text: str | bytes) -> bool:
    """Whether a text is refused, or read as by the parser that is wrapped."""
    try:
        found = parse(text)
    except ValueError:
        return True
    return repr(found) == repr(plain(text))


def test_a_number_of_300_digits_is_read_and_a_longer_one_is_not() -> None:
    assert parse_json("9" * 300) == 10**300 - 1
    with pytest.raises(ValueError, match="a number of 301 digits"):
        parse_json("9" * 301)
