"""A folder as tvmerge writes it."""

from __future__ import annotations

import json
from pathlib import Path

from tvmerge.merging.export.folders import MARKER


def ours(folder: Path, owner: str = "study-1", *more: str) -> Path:
    """Write a folder with a marker that names its owner and files, and return it."""
    folder.mkdir(parents=True)
    files = ["weights", *more]
    for name in files:
        (folder / name).write_text("old")
    (folder / MARKER).write_text(json.dumps({"owner": owner, "files": files}))
    return folder
