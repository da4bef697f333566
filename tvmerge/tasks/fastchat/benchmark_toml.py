"""Reads `benchmark.toml`, the optional file next to `question.jsonl` with a benchmark's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tvmerge._util.encodings import read_text
from tvmerge._util.parsing import parse_toml
from tvmerge._util.suggest import did_you_mean
from tvmerge.errors import AssetError
from tvmerge.tasks.fastchat.rows import finite

REFERENCE_CATEGORIES = ("math", "reasoning", "coding", "arena-hard-200")
"""Categories judged against a reference answer (FastChat's `NEED_REF_CATS`)."""

DEFAULT_TEMPERATURE = 0.7
"""Temperature of all other categories, as in FastChat."""

TEMPERATURES: Mapping[str, float] = MappingProxyType(
    {
        "writing": 0.7,
        "roleplay": 0.7,
        "extraction": 0.0,
        "math": 0.0,
        "coding": 0.0,
        "reasoning": 0.0,
        "stem": 0.1,
        "humanities": 0.1,
        "arena-hard-200": 0.0,
    }
)
"""Sampling temperature by category (FastChat's `temperature_config`)."""

_KNOWN = ("description", "reference_categories", "temperature", "japanese_exempt")


@dataclass(frozen=True, slots=True)
class BenchmarkSettings:
    """The settings of a benchmark; the defaults are FastChat's.

    Attributes:
        description: One line for lists and reports.
        reference_categories: Categories whose answers are judged against a reference.
        temperatures: Maps a category to its sampling temperature.
        default_temperature: Temperature of categories that are not in `temperatures`.
        japanese_exempt: Categories whose answers need not be in Japanese (code, translation).
    """

    description: str = ""
    reference_categories: tuple[str, ...] = REFERENCE_CATEGORIES
    temperatures: Mapping[str, float] = field(default_factory=lambda: TEMPERATURES)
    default_temperature: float = DEFAULT_TEMPERATURE
    japanese_exempt: tuple[str, ...] = ()


def read_settings(path: Path) -> BenchmarkSettings:
    """Read settings from `path`, or return the defaults if there is no such file.

    Raises:
        AssetError: The file cannot be read, is not TOML, or has an unknown key or a value of the wrong type.
    """
    if not path.exists():
        return BenchmarkSettings()
    table = _parse(path)
    unknown = sorted(set(table) - set(_KNOWN))
    if unknown:
        meant = did_you_mean(unknown[0], _KNOWN)
        raise AssetError(f"{path}: unknown key '{unknown[0]}'{meant}; known: {', '.join(_KNOWN)}")
    temperatures, default = _temperatures(path, table.get("temperature", {}))
    return BenchmarkSettings(
        description=_text(path, "description", table.get("description", "")),
        reference_categories=_texts(path, "reference_categories", table, REFERENCE_CATEGORIES),
        temperatures=temperatures,
        default_temperature=default,
        japanese_exempt=_texts(path, "japanese_exempt", table, ()),
    )


def _parse(path: Path) -> dict[str, Any]:
    try:
        return parse_toml(read_text(path))
    except ValueError as error:
        raise AssetError(f"{path}: not a TOML file: {error}") from error


def _temperatures(path: Path, table: Any) -> tuple[Mapping[str, float], float]:
    """Return FastChat's temperatures, updated with the file's; a `default` in the file replaces all of them.

    A user who writes `default = 0` means every category, including those that FastChat knows.
    """
    if not isinstance(table, dict):
        raise AssetError(f"{path}: 'temperature' must be a table of category = number")
    own = {category: _temperature(path, category, value) for category, value in table.items()}
    default = own.pop("default", None)
    if default is None:
        return MappingProxyType({**TEMPERATURES, **own}), DEFAULT_TEMPERATURE
    return MappingProxyType(own), default


def _temperature(path: Path, category: str, value: Any) -> float:
    number = finite(value)
    if number is None or number < 0:
        raise AssetError(f"{path}: temperature '{category}' must be a number of at least 0, got {value!r}")
    return number


def _text(path: Path, key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise AssetError(f"{path}: '{key}' must be a text, got {value!r}")
    return value


def _texts(path: Path, key: str, table: Mapping[str, Any], default: tuple[str, ...]) -> tuple[str, ...]:
    value = table.get(key, default)
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise AssetError(f"{path}: '{key}' must be a list of category names, got {value!r}")
    return tuple(value)
