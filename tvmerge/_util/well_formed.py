"""Makes texts storable: Python's strings can hold half a surrogate pair, which no encoding can represent."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any, TypeVar

R = TypeVar("R")


def is_well_formed(text: str) -> bool:
    """Return whether `text` contains no surrogate, so that any encoding of Unicode can represent it."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def well_formed(text: str) -> str:
    """Return `text` with pairs of surrogates joined, and halves of pairs replaced by U+FFFD."""
    if is_well_formed(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def well_formed_data(data: Any) -> Any:
    """Return JSON data with every text in it, names of keys included, made storable; see `well_formed`.

    Raises:
        ValueError: It is nested too deeply.
    """
    try:
        return json.loads(well_formed(json.dumps(data, ensure_ascii=False)))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def well_formed_record(record: R) -> R:
    """Return a record (a dataclass) with its texts and tuples of texts made storable; see `well_formed`."""
    made: Any = record
    changed = {}
    for each in fields(made):
        value = getattr(made, each.name)
        if isinstance(value, str):
            sound: object = well_formed(value)
        elif isinstance(value, tuple):
            sound = tuple(well_formed(item) if isinstance(item, str) else item for item in value)
        else:
            continue
        if sound != value:
            changed[each.name] = sound
    return replace(made, **changed) if changed else record
