"""The caches of tvmerge, shared by all runs of a user."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tvmerge._util.cache import ContentCache
from tvmerge._util.outputs import check_folder
from tvmerge._util.private import make_private
from tvmerge.errors import TvmergeError, UserError

BATCHES = "batches"
"""The folder of batches that were sent to judges, next to the caches."""

_NAMES = ("answers", "judgments", "digests", BATCHES)


class Caches:
    """Generated answers, paid judgments and digests of model files.

    Args:
        folder: Their folder; default: `cache_folder()`.

    Raises:
        UserError: The folder cannot be written, or the disk is too full.
    """

    _digests: type[ContentCache] = ContentCache

    def __init__(self, folder: Path | None = None) -> None:
        root = _prepared(cache_folder() if folder is None else folder)
        self.answers = ContentCache(root / "answers")
        self.judgments = ContentCache(root / "judgments", durable=True)
        self.digests = self._digests(root / "digests")

    def tell(self, note: Callable[[str], None]) -> None:
        """Have a line noted for a damaged row; see `ContentCache`."""
        for cache in (self.answers, self.judgments, self.digests):
            cache.note = note

    def close(self) -> None:
        """Close all of them."""
        for cache in (self.answers, self.judgments, self.digests):
            cache.close()


class UnknownDigestError(TvmergeError):
    """A digest is not stored, and a model would have to be read or run to compute it."""


class _KnownDigests(ContentCache):
    """A cache of digests that raises if one is missing."""

    def get(self, key: str) -> Any:
        """Return the value stored under `key`.

        Raises:
            UnknownDigestError: There is none.
        """
        found = super().get(key)
        if found is None:
            raise UnknownDigestError("not known yet")
        return found


class KnownCaches(Caches):
    """The user's caches for reading; missing ones are empty and are not created.

    A missing digest raises `UnknownDigestError`, so that no model is read to compute it.
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


def open_cache(name: str) -> ContentCache:
    """Return one of the user's caches, which opens although another may be damaged.

    Raises:
        UserError: The folder cannot be written, or the disk is too full.
    """
    return ContentCache(_prepared(cache_folder()) / name)


def _prepared(root: Path) -> Path:
    check_folder(root, "the cache folder (TVMERGE_CACHE_DIR)")
    try:
        make_private(root, with_only=_NAMES)
    except OSError as error:
        raise UserError(f"the cache folder {root} cannot be made: {error.strerror or error}") from error
    return root


def cache_folder() -> Path:
    """Return `TVMERGE_CACHE_DIR`, or the default cache folder of the user."""
    given = os.environ.get("TVMERGE_CACHE_DIR")
    if given:
        return Path(given)
    from platformdirs import user_cache_path

    return user_cache_path("tvmerge", appauthor=False)
