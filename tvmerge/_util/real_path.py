"""Finds out which place a path names."""

from __future__ import annotations

import os
from pathlib import Path


def real_path(path: Path) -> Path:
    """Return the absolute path of the place that `path` names, without links.

    A link that leads to itself names no place, and stays. `Path.resolve` raises `RuntimeError` for one before
    Python 3.13.
    """
    return Path(os.path.realpath(path))
