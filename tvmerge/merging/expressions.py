"""Where a user's or an adapter's regular expressions are found, bounded in time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from tvmerge._util.bounded import OutOfBoundsError, WorkError, bounded
from tvmerge.errors import ConfigError, UserError

T = TypeVar("T")

SECONDS = 10.0
"""How long all expressions of one kind may take on all names. A sound one takes less than a second."""


def fault_of(expression: str) -> str:
    """Return why a text is not a regular expression; empty if it is one."""
    try:
        re.compile(expression)
    except (re.error, OverflowError) as error:
        return str(error)
    except RecursionError:
        return "it is nested too deeply"
    return ""


def found_in(expressions: Sequence[str], names: Iterable[str], what: str) -> list[list[str]]:
    """Return, for each regular expression, the names that it is found in.

    Args:
        expressions: The expressions.
        names: The names.
        what: What the expressions are, for messages.

    Raises:
        ConfigError: They take too long: an expression may backtrack for ever.
    """
    known = list(names)
    if not expressions or not known:
        return [[] for _ in expressions]
    return in_time(
        lambda: [[name for name in known if re.search(expression, name)] for expression in expressions],
        f"{what}: {' or '.join(map(repr, expressions))}",
    )


def in_time(match: Callable[[], T], what: str, error: type[UserError] = ConfigError) -> T:
    """Return what `match` returns, plain JSON data; it is ended if it takes too long.

    Args:
        match: Matches regular expressions.
        what: What they are, for messages.
        error: The class of errors to raise.

    Raises:
        error: It takes too long or too much memory.
    """
    try:
        return bounded(match, SECONDS)
    except (OutOfBoundsError, WorkError) as failure:
        raise error(
            f"{what:.200} cannot be matched against the tensors' names: {failure}; write it without a "
            "repetition inside a repetition"
        ) from failure
