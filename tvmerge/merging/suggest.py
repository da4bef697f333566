"""Which group or part of a model a name may be meant for that is not there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tvmerge._util.suggest import did_you_mean

_SHOWN = 3


def near_group(name: str, groups: Iterable[str]) -> str:
    """Return ` (did you mean X?)` for the group that is most like `name`; empty if none is.

    A group without the numbers in `name` is of other layers, and not what was meant.
    """
    return did_you_mean(name, _with_numbers_of(name, groups))


def near_tensor(expression: str, tensors: Iterable[str]) -> str:
    """Return ` (did you mean X?)` for the part of a tensor's name that is most like a regular expression.

    Args:
        expression: An expression that matches no tensor.
        tensors: The names of the tensors.
    """
    text = expression.replace("\\.", ".")
    size = text.strip(".").count(".") + 1
    parts = (name.split(".") for name in tensors)
    runs = {".".join(own[at : at + size]) for own in parts for at in range(len(own) - size + 1)}
    return did_you_mean(text, sorted(_with_numbers_of(text, runs)))


def listed(names: Sequence[str]) -> str:
    """Return names as a list, the first and the last if there are many."""
    if len(names) <= _SHOWN + 2:
        return ", ".join(names)
    return f"{', '.join(names[:_SHOWN])}, ..., {names[-1]}"


def _with_numbers_of(name: str, known: Iterable[str]) -> list[str]:
    numbers = set(re.findall(r"\d+", name))
    return [own for own in known if numbers.issubset(re.findall(r"\d+", own))]
