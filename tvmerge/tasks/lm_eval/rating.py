"""Describes how a task rates responses, so that a digest changes when the user changes the rating."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

RATING = ("output_type", "repeats", "generation_kwargs", "filter_list", "metric_list", "process_results")
"""The settings of an lm-eval task that affect its score, given a model's responses."""

ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def rating_of(task: Any) -> dict[str, object]:
    """Return the rating settings of an lm-eval task, including its own code, as JSON data.

    They are the same in every process and do not depend on where the task's files are.
    """
    settings = {name: plain(getattr(task.config, name)) for name in RATING}
    return {**settings, "class": plain(type(task))}


def plain(value: Any) -> Any:
    """Return `value` as JSON data; functions and classes become their code, other objects their text."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    if isinstance(value, partial):
        return [plain(value.func), plain(value.args), plain(value.keywords)]
    return _code(value) if callable(value) else _text(value)


def _code(value: Callable[..., Any]) -> list[str]:
    """Return the name of a function or class and its whole file, since helpers and constants matter too."""
    named = value if hasattr(value, "__qualname__") else type(value)
    try:
        file = inspect.getsourcefile(inspect.unwrap(named))
    except TypeError:
        file = None
    return [named.__qualname__, Path(file).read_text(encoding="utf-8") if file else _text(value)]


def _text(value: Any) -> str:
    """Return `str` of a value without memory addresses, which differ between processes."""
    return ADDRESS.sub("", str(value))
