"""Seeds for parts of a search, derived from the user's one seed."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *path: int | str) -> int:
    """A 32-bit seed for the part of the run that `path` names.

    Hashing keeps the streams of neighbouring parts apart (seed 1 of trial 2 is not seed 2 of trial 1) and
    gives the same number on every machine and in every process.
    """
    text = "/".join(str(part) for part in (seed, *path))
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:4], "big")
