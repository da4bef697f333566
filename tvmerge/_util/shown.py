"""Shows values in messages, however long they are."""

from __future__ import annotations

import math

_LONG_NUMBER = 10**30
"""The smallest whole number of which only the number of digits is shown."""

_LONGEST = 200
"""How many characters of a value are shown."""


def shown(value: object) -> str:
    """Return `repr(value)`, cut if it is long.

    Python does not print whole numbers of more than 4,300 digits, such as long hexadecimal ones in a file.
    """
    if isinstance(value, int) and abs(value) >= _LONG_NUMBER:
        return f"a number of about {math.ceil(math.log10(abs(value))):,} digits"
    try:
        text = repr(value)
    except ValueError:
        return "a value with a number of thousands of digits"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
