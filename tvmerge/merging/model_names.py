"""What to call the models of a merge: no two of them have one name, and no name says whose they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import chain, count
from pathlib import Path

from tvmerge.merging.checkpoints.sources import Source

_HOMES = {"home": 2, "Users": 2, "root": 1}
"""First part of a path on which people have their folders -> parts up to and including a person's own."""


def distinct_names(sources: Mapping[str, Source]) -> dict[str, Source]:
    """The same models, each with its own name; a model that plays several parts has one name.

    A model of the hub keeps its id, with the commit where two commits take part. A folder is called by as
    much of the end of its path as tells it from the others, but by nothing above or at a home directory.

    Args:
        sources: Part in the merge -> the model that plays it.
    """
    places = {part: source.folder.resolve() for part, source in sources.items()}
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
    """The shortest end of each path that is no other's; numbered where what may be shown is not enough."""
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
    """The parts of a path that may be published: what is below a home directory."""
    parts = place.relative_to(place.anchor).parts
    home = _home()
    if home is not None and place.is_relative_to(home):
        return place.relative_to(home).parts
    return parts[_HOMES.get(parts[0], 0) :] if parts else ()


def _home() -> Path | None:
    """The user's home directory; None where it is unknown, or the root as in some containers."""
    try:
        home = Path.home().resolve()
    except RuntimeError:
        return None
    return None if home == Path(home.anchor) else home
