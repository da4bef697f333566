"""One way to write data as JSON, so that equal data have equal digests."""

from __future__ import annotations

import hashlib
import json


def canonical_json(data: object) -> str:
    """`data` as JSON with sorted keys, no spaces and no NaN.

    Raises:
        TypeError: `data` holds something JSON has no form for.
        ValueError: `data` holds NaN or an infinity.
    """
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(data: object) -> str:
    """SHA-256 of the canonical JSON of `data`, in hexadecimal."""
    return hashlib.sha256(canonical_json(data).encode("utf-8")).hexdigest()
