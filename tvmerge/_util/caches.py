"""tvmerge's own caches, shared by all runs of a user."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tvmerge._util.cache import ContentCache
from tvmerge._util.outputs import check_folder
from tvmerge.errors import TvmergeError


class Caches:
    """Generated answers, paid judgments and digests of model files.

    Args:
        folder: Where they live; `cache_folder()` unless given.

    Raises:
        UserError: The folder cannot be written to, or has no room.
    """

    _digests: type[ContentCache] = ContentCache

    def __init__(self, folder: Path | None = None) -> None:
        root = cache_folder() if folder is None else folder
        check_folder(root, "the cache folder (TVMERGE_CACHE_DIR)")
        self.answers = ContentCache(root / "answers")
        self.judgments = ContentCache(root / "judgments")
        self.digests = self._digests(root / "digests")

    def close(self) -> None:
        """Close all of them."""
        for cache in (self.answers, self.judgments, self.digests):
            cache.close()


class UnknownDigestError(TvmergeError):
    """What was looked up is not known, and to know it a model would have to be read or run."""


class _KnownDigests(ContentCache):
    """Says what it knows and learns nothing."""

    def get(self, key: str) -> Any:
        """The value stored under `key`.

        Raises:
            UnknownDigestError: There is none.
        """
        found = super().get(key)
        if found is None:
            raise UnknownDigestError("not known yet")
        return found


class KnownCaches(Caches):
    """The user's caches, to look into; where there are none, empty ones stand in, and none are made.

    A digest that is not there is an `UnknownDigestError`, so that no model is read for it.
    """

    _digests = _KnownDigests

    def __init__(self) -> None:
        root = cache_folder()
        self._stand_in: TemporaryDirectory[str] | None = None
        if not (root / "digests").is_dir():
            self._stand_in = TemporaryDirectory()
            root = Path(self._stand_in.name)
        super().__init__(root)

    def close(self) -> None:
        """Close all of them."""
        super().close()
        if self._stand_in is not None:
            self._stand_in.cleanup()


def cache_folder() -> Path:
    """`TVMERGE_CACHE_DIR`, or the user's cache folder."""
    given = os.environ.get("TVMERGE_CACHE_DIR")
    if given:
        return Path(given)
    from platformdirs import user_cache_path

    return user_cache_path("tvmerge", appauthor=False)
