"""Which known name an unknown one may be meant for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

_NAMED = 5
"""How many unknown names a message lists; to look for what each may mean takes time."""


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like `name`; None if none is.

    Case does not count, and `_` is the same as `-`.
    """
    plain = {_plain(own): own for own in known}
    near = get_close_matches(_plain(name), plain, 1)
    return plain[near[0]] if near else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ` (did you mean X?)` for the known name that is most like `name`; empty if none is.

    Of several names that begin with `name` as a word, such as `price_input` and `price_output`, none is more
    like it than the others, so all are suggested.
    """
    names = list(known)
    longer = [own for own in names if name and _plain(own).startswith(f"{_plain(name)}-")]
    if 0 < len(longer) <= _NAMED and _plain(name) not in map(_plain, names):
        return meaning(" or ".join(filter(None, (", ".join(longer[:-1]), longer[-1]))))
    return meaning(closest(name, names))


def unknown_names(unknown: Sequence[str], known: Collection[str]) -> str:
    """Return the first unknown names for a message, each with what it may mean, and the number of others."""
    named = ", ".join(f"{name}{did_you_mean(name, known)}" for name in unknown[:_NAMED])
    return f"{named} and {len(unknown) - _NAMED:,} more" if len(unknown) > _NAMED else named


def meaning(meant: object) -> str:
    """Return ` (did you mean X?)`; empty for None."""
    return "" if meant is None else f" (did you mean {meant}?)"


def near_file(path: Path) -> Path | None:
    """Return the existing file that `path` becomes if the first part of it that does not exist is mended.

    Args:
        path: A path at which nothing is.
    """
    missing = next((part for part in reversed([path, *path.parents]) if not part.exists()), path)
    folder = missing.parent
    names = [found.name for found in folder.iterdir()] if folder.is_dir() else []
    name = closest(missing.name, names)
    if name is None:
        return None
    found = folder / name / path.relative_to(missing)
    return found if found.is_file() else None


def _plain(name: str) -> str:
    return name.casefold().replace("_", "-")
