"""Converts values from files and Python to the declared types of settings."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import Field, fields
from numbers import Integral, Real
from typing import Any

from tvmerge._util.as_float import as_float
from tvmerge._util.shown import shown
from tvmerge._util.well_formed import is_well_formed
from tvmerge.errors import ConfigError
from tvmerge.option import Option


def settings_for(part: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Convert settings given in Python to arguments of the constructor of `part`.

    Paths are accepted for strings, ints for floats, and a single value for a list.

    Args:
        part: A class of settings, such as `RunConfig`.
        given: Values by key.

    Raises:
        ConfigError: A key is unknown, or a value has the wrong type or is not one of the choices.
    """
    declared: dict[str, Field[Any]] = {f.name: f for f in fields(part)}
    if unknown := [key for key in given if key not in declared]:
        raise ConfigError(f"unknown setting {', '.join(unknown)}; known: {', '.join(declared)}")
    return {
        key: None
        if value is None and declared[key].default is None
        else checked(key, value, _option(declared[key]))
        for key, value in given.items()
    }


def checked(key: str, value: Any, option: Option, place: str = "") -> Any:
    """Convert a value to the declared type of its setting.

    Args:
        key: The setting's key.
        value: The value.
        option: The setting's declaration.
        place: Where the value was given, for messages; ends in `: `.

    Raises:
        ConfigError: It has the wrong type, or is not one of the choices.
    """
    if not option.many:
        return _scalar(key, value, option, place)
    several = isinstance(value, Iterable) and not isinstance(value, str | Mapping)
    return tuple(_scalar(key, item, option, place) for item in (value if several else (value,)))


def _option(declared: Field[Any]) -> Option:
    found: Option = declared.metadata["option"]
    return found


def _scalar(key: str, value: Any, option: Option, place: str) -> Any:
    found = _plain(value, option.kind)
    if type(found) is not option.kind:
        raise ConfigError(
            f"{place}{key} must be {option.kind.__name__}, got {type(value).__name__} {shown(value)}"
        )
    if isinstance(found, int | float) and not isinstance(found, bool):
        option.check_number(key, found, place)
    if isinstance(found, str) and "\0" in found:
        raise ConfigError(f"{place}{key} must not contain the character NUL")
    # Halves of surrogate pairs, which stand for bytes of an argument that are not UTF-8.
    if isinstance(found, str) and not is_well_formed(found):
        raise ConfigError(f"{place}{key} must be text in UTF-8, got {shown(found)}")
    if option.choices and found not in option.choices:
        raise ConfigError(f"{place}{key} must be one of {', '.join(option.choices)}, got {shown(found)}")
    return found


def _plain(value: Any, kind: type) -> Any:
    """Convert `value` to a plain `kind` if it represents one, such as a numpy number; else return it."""
    if isinstance(value, bool):
        return value
    if kind is float and isinstance(value, Real):
        return as_float(value)
    if kind is int and isinstance(value, Integral):
        return int(value)
    if kind is str and isinstance(value, os.PathLike | str):
        return str(os.fspath(value))
    if kind is dict and isinstance(value, Mapping):
        return dict(value)
    return value
