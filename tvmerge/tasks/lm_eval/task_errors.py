"""Translates errors of a task's own code, templates and data into one line that says where to look."""

from __future__ import annotations

import math
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Real
from pathlib import Path
from typing import Any

import lm_eval
from jinja2 import TemplateSyntaxError, UndefinedError

from tvmerge._util.real_path import real_path
from tvmerge.errors import ConfigError, UserError

FIELDS = (
    "doc_to_text",
    "doc_to_target",
    "doc_to_choice",
    "doc_to_prefix",
    "training_docs",
    "validation_docs",
    "test_docs",
    "fewshot_docs",
    "sample",
)
"""Methods of an lm-eval task that read a setting of its file."""

SETTINGS = {
    "doc_to_prefix": "gen_prefix",
    "training_docs": "training_split or process_docs",
    "validation_docs": "validation_split or process_docs",
    "test_docs": "test_split or process_docs",
    "fewshot_docs": "fewshot_split or fewshot_config",
    "sample": "num_fewshot",
}
"""The settings of methods whose names differ from them."""

PACKAGES = Path(lm_eval.__file__).parent.parent
"""The folder of installed packages; code outside is the user's."""

Frame = tuple[str, int, dict[str, Any]]
"""A frame of a traceback: function, line, local variables."""


@contextmanager
def blamed(where: str, what: str, advice: str) -> Iterator[None]:
    """Translate errors raised in the block; `UserError`s are prefixed with `where`.

    Args:
        where: The task, and the document if there is one.
        what: What was done.
        advice: How to fix it.

    Raises:
        ConfigError: An error was raised in the block.
    """
    try:
        with warnings.catch_warnings():
            # Unusual numbers are reported when they become a score.
            warnings.simplefilter("ignore")
            yield
    except UserError as error:
        raise ConfigError(f"{where}: {error}") from error
    except Exception as error:
        raise ConfigError(f"{where}: {what} fails with {told(error)}; {advice}") from error


def told(error: BaseException) -> str:
    """Describe an error: type, first line, and the line of the user's code or the setting that caused it."""
    cause = error
    while cause.__cause__ is not None and type(cause).__module__.startswith("datasets"):
        cause = cause.__cause__
    text = (str(cause).strip() or "no message").split("\n")[0].rstrip(".")
    plain = isinstance(cause, UndefinedError | TemplateSyntaxError)
    words = text if plain else f"{type(cause).__name__}: {text}"
    mark = getattr(cause, "problem_mark", None)
    place = f"line {mark.line + 1}" if mark else _own_line(error) or setting_of(error)
    return f"{words} ({place})" if place else words


def setting_of(error: BaseException) -> str:
    """Return the setting of a task's file that was being read when an error was raised, or ""."""
    names = [name for name, _, _ in frames(error)]
    return next((SETTINGS.get(name, name) for name in reversed(names) if name in FIELDS), "")


def frames(error: BaseException) -> list[Frame]:
    """Return the frames of an error's traceback, the innermost last."""
    walked = traceback.walk_tb(error.__traceback__)
    return [(frame.f_code.co_name, line, dict(frame.f_locals)) for frame, line in walked]


def is_number(value: Any) -> bool:
    """Return whether a value is a real number of Python or numpy."""
    import numpy as np

    return isinstance(value, Real | np.bool_) or (isinstance(value, np.ndarray) and value.ndim == 0)


def shown(value: Any) -> str:
    """Return a short description of a value, for a message."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def finite(value: Any) -> float:
    """Return the number if it is finite, else nan."""
    number = float(value)
    return number if math.isfinite(number) else math.nan


def _own_line(error: BaseException) -> str:
    """Return file and line of the innermost code that is not part of lm-eval, tvmerge or Python."""
    found = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = Path(frame.f_code.co_filename)
        if file.is_file() and not _is_installed(file):
            found = f"{file.name}, line {line}"
    return found


def _is_installed(file: Path) -> bool:
    ours = Path(__file__).parents[3] / "tvmerge"
    roots = (PACKAGES, ours, Path(traceback.__file__).parent)
    resolved = real_path(file)
    return any(resolved.is_relative_to(real_path(root)) for root in roots)
