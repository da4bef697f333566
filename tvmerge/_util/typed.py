"""Checks that stored data have the types that their records declare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from tvmerge._util.well_formed import is_well_formed

Test = Callable[[Any], bool]
"""Whether a value has a type."""

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
    if not _test_of(hint)(value):
        raise TypeError(f"{name} is {value!r:.{_LONGEST}}")


@cache
def _hints(kind: Any) -> Mapping[str, Any]:
    known = get_type_hints(kind)
    return {field.name: known[field.name] for field in fields(kind)}


@cache
def _test_of(hint: Any) -> Test:
    """Return what tests whether a value has a type, which is taken apart only once."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in {Union, UnionType}:
        tests = [_test_of(each) for each in inner]
        return lambda value: any(test(value) for test in tests)
    if origin is Literal:
        return lambda value: any(value == each and type(value) is type(each) for each in inner)
    if origin is not None:
        return _test_of_collection(origin, inner)
    if hint in {int, bool, NoneType}:
        return lambda value: type(value) is hint
    return _PLAIN.get(hint) or (lambda value: _is_one(value, hint))


def _test_of_collection(origin: Any, inner: tuple[Any, ...]) -> Test:
    def whole(value: Any) -> bool:
        return isinstance(value, origin) and not isinstance(value, str)

    if issubclass(origin, Mapping):
        key, item = map(_test_of, inner)
        return lambda value: whole(value) and all(map(key, value)) and all(map(item, value.values()))
    if origin is tuple and not (len(inner) == 2 and inner[1] is Ellipsis):
        tests = [_test_of(each) for each in inner]
        return lambda value: (
            whole(value)
            and len(value) == len(tests)
            and all(test(each) for test, each in zip(tests, value, strict=True))
        )
    test = _test_of(inner[0])
    return lambda value: whole(value) and all(map(test, value))


def _is_float(value: Any) -> bool:
    return type(value) is float or (type(value) is int and abs(value) < 10**300)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and is_well_formed(value)


def _is_one(value: Any, kind: type) -> bool:
    if not isinstance(value, kind):
        return False
    if is_dataclass(value):
        check_record(value)
    return True


_PLAIN: Mapping[Any, Test] = {
    Any: lambda _: True,
    object: lambda _: True,
    float: _is_float,
    str: _is_text,
}
