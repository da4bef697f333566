"""The user's regular expressions: validated when read, limited in time when used."""

from __future__ import annotations

from tvmerge._util.bounded import OutOfBoundsError, WorkError, bounded
from tvmerge.errors import ConfigError

_COMPILING = 5.0
"""Seconds within which an expression must be read."""

SECONDS = 1.0
"""Time limit of a search, in case it backtracks endlessly."""


def fault_of(pattern: str) -> str:
    """Return why `pattern` is invalid, or an empty string."""
    import regex

    try:
        # In bounds: a repetition of repetitions may take all memory.
        groups = bounded(lambda: int(regex.compile(pattern).groups), _COMPILING)
    except WorkError as error:
        return f"is not a regular expression ({error})"
    except OutOfBoundsError as error:
        return f"cannot be used: {error}"
    return "" if groups == 1 else f"must have one group, which holds the rating; it has {groups}"


def groups(pattern: str, text: str) -> list[str]:
    """Return the group of each match of `pattern` in `text`, in order.

    Raises:
        TimeoutError: The search takes too long.
    """
    import regex

    return [str(found[1] or "") for found in regex.finditer(pattern, text, timeout=SECONDS)]


def replaced(pattern: str, by: str, text: str) -> str:
    """Return `text` with all matches of `pattern` replaced by `by`.

    Raises:
        ConfigError: The search takes too long.
    """
    import regex

    try:
        return str(regex.sub(pattern, lambda _: by, text, timeout=SECONDS))
    except TimeoutError:
        raise ConfigError(
            f"the judge prompt's rating_pattern '{pattern}' takes more than {SECONDS:g} s on an answer: it "
            "backtracks; write it without a repetition inside a repetition"
        ) from None
