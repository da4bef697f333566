"""Makes texts storable: Python's strings can hold half a surrogate pair, which no encoding can represent."""

from __future__ import annotations

import json
import re
from typing import Any

_HALF = re.compile("[\ud800-\udfff]")


def well_formed(text: str) -> str:
    """Return `text` with pairs of surrogates joined, and halves of pairs replaced by U+FFFD."""
    if not _HALF.search(text):
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
