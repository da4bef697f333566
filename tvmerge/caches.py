"""tvmerge's own caches, shared by all runs of a user."""

from __future__ import annotations

import os
from pathlib import Path

from tvmerge.cache import ContentCache


class Caches:
    """Generated answers, paid judgments and digests of model files.

    Args:
        folder: Where they live; `cache_folder()` unless given.
    """

    def __init__(self, folder: Path | None = None) -> None:
        root = cache_folder() if folder is None else folder
        self.answers = ContentCache(root / "answers")
        self.judgments = ContentCache(root / "judgments")
        self.digests = ContentCache(root / "digests")

    def close(self) -> None:
        """Close all of them."""
        for cache in (self.answers, self.judgments, self.digests):
            cache.close()


def cache_folder() -> Path:
    """`TVMERGE_CACHE_DIR`, or the user's cache folder."""
    given = os.environ.get("TVMERGE_CACHE_DIR")
    if given:
        return Path(given)
    from platformdirs import user_cache_path

    return user_cache_path("tvmerge", appauthor=False)
