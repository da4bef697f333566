"""Seeds of parts of a search, derived from the user's seed."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *path: int | str) -> int:
    """Return a 32-bit seed for the part of the run that `path` names.

    Hashing makes the streams of different parts independent (seed 1 of trial 2 is not seed 2 of trial 1) and
    gives the same number on every machine.
    """
    text = "/".join(str(part) for part in (seed, *path))
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:4], "big")
