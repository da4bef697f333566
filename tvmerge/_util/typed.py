"""Checks that stored data have the types that their records declare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

_LONGEST = 60
"""Characters of a wrong value that messages show."""


def check_record(record: Any) -> None:
    """Check that each field of a dataclass has a value of its declared type.

    Raises:
        TypeError: One has not; the message names it.
    """
    for name, hint in _hints(record.__class__).items():
        check_value(name, getattr(record, name), hint)


def check_value(name: str, value: Any, hint: Any) -> None:
    """Check that a value has a type: of plain data, of a dataclass, or a collection or union of such.

    Args:
        name: The value's name, for the message.
        value: The value.
        hint: The type, resolved. Whole numbers are also floats, and NaN and infinities are.

    Raises:
        TypeError: It has not.
    """
    if not _fits(value, hint):
        raise TypeError(f"{name} is {value!r:.{_LONGEST}}")


@cache
def _hints(kind: Any) -> Mapping[str, Any]:
    known = get_type_hints(kind)
    return {field.name: known[field.name] for field in fields(kind)}


def _fits(value: Any, hint: Any) -> bool:
    origin = get_origin(hint)
    if hint is Any or hint is object:
        return True
    if origin in {Union, UnionType}:
        return any(_fits(value, each) for each in get_args(hint))
    if origin is Literal:
        return any(value == each and type(value) is type(each) for each in get_args(hint))
    if origin is not None:
        return _collected(value, origin, get_args(hint))
    return _is_one(value, hint)


def _is_one(value: Any, kind: Any) -> bool:
    if kind is float:
        return type(value) is float or (type(value) is int and abs(value) < 10**300)
    if kind in {int, bool, NoneType}:
        return type(value) is kind
    if kind is str:
        return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)
    if not isinstance(value, kind):
        return False
    if is_dataclass(value):
        check_record(value)
    return True


def _collected(value: Any, origin: Any, inner: tuple[Any, ...]) -> bool:
    if isinstance(value, str) or not isinstance(value, origin):
        return False
    if issubclass(origin, Mapping):
        key, each = inner
        return all(_fits(k, key) and _fits(v, each) for k, v in value.items())
    if origin is tuple and not (len(inner) == 2 and inner[1] is Ellipsis):
        return len(value) == len(inner) and all(map(_fits, value, inner))
    return all(_fits(each, inner[0]) for each in value)
