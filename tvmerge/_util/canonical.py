"""Canonical JSON, so that equal data have equal digests."""

from __future__ import annotations

import hashlib
import json


def canonical_json(data: object) -> str:
    """Return `data` as JSON with sorted keys, no spaces and no NaN.

    Raises:
        TypeError: `data` has a value that JSON cannot represent.
        ValueError: `data` has NaN or an infinity.
    """
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(data: object) -> str:
    """Return the SHA-256 of the canonical JSON of `data`, in hexadecimal."""
    # Half of a surrogate pair, which is refused or replaced where it is read, has a digest all the same.
    return hashlib.sha256(canonical_json(data).encode("utf-8", "surrogatepass")).hexdigest()
