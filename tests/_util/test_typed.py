"""Stored data have the types that were declared, or the message names what has not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from tvmerge._util.typed import check_record, check_value

GOOD: list[tuple[object, Any]] = [
    (1, int),
    (1, float),
    (float("nan"), float),
    (None, float | None),
    (None, None | str),
    ("評価", str),
    ("a", Literal["a", "b"]),
    (True, bool),
    ({"a": [1.0, None]}, Mapping[str, list[float | None]]),
    ((1, 2, 3), tuple[int, ...]),
    ((), tuple[int, ...]),
    ((1, "a"), tuple[int, str]),
    ([{"a": object()}], list[Mapping[str, Any]]),
    (["a"], Sequence[str]),
    (object(), object),
]
BAD: list[tuple[object, Any]] = [
    (True, int),
    (True, float),
    (10**301, float),
    ("1", float),
    (1, bool),
    (0, type(None)),
    ("a\ud83d", str),
    ("c", Literal["a", "b"]),
    (1.0, Literal[1]),
    ({"a": [1.0, "b"]}, Mapping[str, list[float | None]]),
    ({1: []}, Mapping[str, list[float | None]]),
    ([("a", [])], Mapping[str, list[float]]),
    ((1, "b"), tuple[int, ...]),
    ((1, "a", 2), tuple[int, str]),
    ((1,), tuple[int, str]),
    ([1, "a"], tuple[int, str]),
    ("ab", Sequence[str]),
    ([None], list[Mapping[str, Any]]),
]


@pytest.mark.parametrize(("value", "hint"), GOOD)
def test_a_value_of_its_type_passes(value: object, hint: Any) -> None:
    check_value("it", value, hint)


@pytest.mark.parametrize(("value", "hint"), BAD)
def test_any_other_is_named(value: object, hint: Any) -> None:
    with pytest.raises(TypeError, match=r"^it is "):
        check_value("it", value, hint)


@dataclass
class Leaf:
    """A record in a record."""

    size: int


@dataclass
class Tree:
    """A record that holds others."""

    leaves: list[Leaf] = field(default_factory=list)
    best: Leaf | None = None


def test_records_in_a_record_are_checked_too() -> None:
    check_record(Tree([Leaf(1), Leaf(2)], Leaf(3)))
    leaf: Any = Leaf
    with pytest.raises(TypeError, match="size is '2'"):
        check_record(Tree([Leaf(1), leaf("2")]))
    with pytest.raises(TypeError, match="best is 4"):
        check_record(Tree(best=leaf(4).size))
