"""Keeps folders to their user."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from pathlib import Path

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_private(folder: Path, *, with_only: Collection[str] | None = None) -> None:
    """Make a folder that only the user can open; close an existing one of theirs to others.

    Args:
        folder: The folder.
        with_only: If given, an existing folder is closed only if it contains nothing but these names, so that
            a folder that is also used for something else stays as it is; so does what a link names.

    Raises:
        OSError: The folder cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.is_symlink():
        return
    state = folder.stat()
    is_own = hasattr(os, "getuid") and state.st_uid == os.getuid()
    if not is_own or not state.st_mode & _OTHERS:
        return
    if with_only is None or all(path.name in with_only for path in folder.iterdir()):
        folder.chmod(stat.S_IMODE(state.st_mode) & ~_OTHERS)
