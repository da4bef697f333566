"""Display names of the models of a merge, which are unique and contain no user names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import chain, count
from pathlib import Path

from tvmerge._util.real_path import real_path
from tvmerge.merging.checkpoints.sources import Source

_HOMES = {"home": 2, "Users": 2, "root": 1}
"""Number of leading path parts up to a user's folder, by the first part."""


def distinct_names(sources: Mapping[str, Source]) -> dict[str, Source]:
    """Return the models with unique names; a model with several parts has one name.

    A model of the hub is named by its id, with the commit if two commits are used. A folder is named by the
    shortest unique suffix of its path, without a home directory.

    Args:
        sources: The models by their part in the merge.
    """
    places = {part: real_path(source.folder) for part, source in sources.items()}
    models = {places[part]: source for part, source in sources.items()}
    names = _hub_names({place: source for place, source in models.items() if source.repository is not None})
    names |= _folder_names([place for place in models if place not in names], set(names.values()))
    return {part: replace(source, name=names[places[part]]) for part, source in sources.items()}


def _hub_names(models: Mapping[Path, Source]) -> dict[Path, str]:
    uses = Counter(source.repository for source in models.values())
    return {
        place: source.identity if uses[source.repository] > 1 else str(source.repository)
        for place, source in models.items()
    }


def _folder_names(places: Sequence[Path], taken: Collection[str]) -> dict[Path, str]:
    """Return the shortest unique suffix of each path, numbered if what may be shown is not unique."""
    shown = {place: _shown(place) for place in places}
    names: dict[Path, str] = {}
    for place, parts in shown.items():
        others = [other for own, other in shown.items() if own != place]
        ends = [parts[-length:] for length in range(1, len(parts) + 1)]
        own = ["/".join(end) for end in ends if not any(other[-len(end) :] == end for other in others)]
        whole = "/".join(parts) or "model"
        used = {*taken, *names.values()}
        candidates = chain(own, [whole], (f"{whole}-{number}" for number in count(2)))
        names[place] = next(name for name in candidates if name not in used)
    return names


def _shown(place: Path) -> tuple[str, ...]:
    """Return the parts of a path that may be published, which are those below a home directory."""
    parts = place.relative_to(place.anchor).parts
    home = _home()
    if home is not None and place.is_relative_to(home):
        return place.relative_to(home).parts
    return parts[_HOMES.get(parts[0], 0) :] if parts else ()


def _home() -> Path | None:
    """Return the user's home directory; None if it is unknown, or the root as in some containers."""
    try:
        home = real_path(Path.home())
    except RuntimeError:
        return None
    return None if home == Path(home.anchor) else home
