"""How a task rates what it is told, as data whose digest changes when the user changes the rating."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

RATING = ("output_type", "repeats", "generation_kwargs", "filter_list", "metric_list", "process_results")
"""The settings of an lm-eval task between what a model says and the task's score."""

ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def rating_of(task: Any) -> dict[str, object]:
    """The rating settings of an lm-eval task, and the code it brings along, in JSON's types.

    It is the same in every process, and wherever the task's files are.
    """
    settings = {name: plain(getattr(task.config, name)) for name in RATING}
    return {**settings, "class": plain(type(task))}


def plain(value: Any) -> Any:
    """`value` in JSON's types; functions and classes as their code, anything else as its text."""
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
    """The name of a function or class and the text of its file, since helpers and constants rate as well."""
    named = value if hasattr(value, "__qualname__") else type(value)
    try:
        file = inspect.getsourcefile(inspect.unwrap(named))
    except TypeError:
        file = None
    return [named.__qualname__, Path(file).read_text(encoding="utf-8") if file else _text(value)]


def _text(value: Any) -> str:
    """What `str` makes of a value, without where it is in memory, which differs between processes."""
    return ADDRESS.sub("", str(value))
