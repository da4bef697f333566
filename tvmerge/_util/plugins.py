"""Extension points: plug-ins found by name, in a package of tvmerge or in installed packages.

A module of tvmerge is found by its file name, other packages by their entry points. Listing the names imports
nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tvmerge._util.suggest import did_you_mean
from tvmerge.errors import ConfigError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")

Places = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Plugins(Generic[T]):
    """An extension point, such as all samplers or all figures.

    Attributes:
        what: What a plug-in is called in messages, such as `sampler`.
        kind: Class of the object that each module defines.
        attribute: Name of that object in its module.
        package: The package of tvmerge whose modules are plug-ins, except those with a leading underscore.
        group: The entry point group of installed packages.
        spelled: Names of modules of tvmerge whose name is not a Python identifier, by file name.
    """

    what: str
    kind: type[T]
    attribute: str
    package: str
    group: str
    spelled: Mapping[str, str] = field(default_factory=dict)

    def names(self) -> tuple[str, ...]:
        """Return all names, those of tvmerge first, each part sorted, without importing modules."""
        ours = sorted(self._ours, key=str.lower)
        theirs = {point.name for point in self._points()}
        return (*ours, *sorted(theirs - set(ours)))

    def load(self, name: str) -> T:
        """Load the object called `name`.

        Raises:
            ConfigError: No or more than one plug-in has that name, or it cannot be loaded.
        """
        if name not in self._loaded:
            self._loaded[name] = self._found(name)
        return self._loaded[name]

    def origin(self, name: str) -> str:
        """Return name and version of the package that defines `name`; empty for tvmerge."""
        return "" if name in self._ours else "".join(_package(point) for point in self._points(name))

    def identity(self, name: str, key: str) -> dict[str, str]:
        """Return what a study stores along with `name`: its package under `key`, or nothing for tvmerge.

        Another version of a package may behave differently, so its results must not be confused.
        """
        origin = self.origin(name)
        return {key: origin} if origin else {}

    @cached_property
    def _loaded(self) -> dict[str, T]:
        return {}

    @cached_property
    def _ours(self) -> dict[str, str]:
        """Return the modules of tvmerge by name."""
        path = import_module(self.package).__path__
        stems = (module.name for module in iter_modules(path) if not module.name.startswith("_"))
        return {self.spelled.get(stem, stem): f"{self.package}.{stem}" for stem in stems}

    def _points(self, name: str | None = None) -> list[EntryPoint]:
        found = _installed(_places()).get(self.group, ())
        return [point for point in found if name is None or point.name == name]

    def _found(self, name: str) -> T:
        points = self._points(name)
        packages = [*(["tvmerge"] if name in self._ours else []), *map(_package, points)]
        if not packages:
            known = self.names()
            near = did_you_mean(name, known)
            raise ConfigError(f"unknown {self.what} '{name}'{near}; known: {', '.join(known)}")
        if len(packages) > 1:
            raise ConfigError(
                f"several packages have a {self.what} '{name}': {', '.join(packages)}; uninstall all but one"
            )
        if not points:
            module = self._ours[name]
            return self._object(import_module(module), f"the file of {module}")
        try:
            found = points[0].load()
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise ConfigError(
                f"the {self.what} '{name}' of {packages[0]} cannot be loaded ({reason}); install what it "
                "needs, or uninstall it"
            ) from error
        return self._object(found, f"the entry point {points[0].value} of {packages[0]}")

    def _object(self, found: Any, where: str) -> T:
        made = getattr(found, self.attribute, None) if isinstance(found, ModuleType) else found
        if not isinstance(made, self.kind):
            raise ConfigError(
                f"{where} does not define {self.attribute}, a {self.kind.__module__}.{self.kind.__name__}"
            )
        return made


def _places() -> Places:
    """Return the folders that packages are imported from, each with the time of its last change."""
    return tuple((place, _changed(Path(place))) for place in sys.path)


def _changed(place: Path) -> int:
    try:
        return place.stat().st_mtime_ns
    except OSError:  # most often there is no such folder
        return 0


@lru_cache(maxsize=1)
def _installed(places: Places) -> Mapping[str, Sequence[EntryPoint]]:
    """Return the entry points of all installed packages by group; which take long to read."""
    from importlib.metadata import entry_points

    points = entry_points()
    return {group: tuple(points.select(group=group)) for group in points.groups}


def _package(point: EntryPoint) -> str:
    return "an unknown package" if point.dist is None else f"{point.dist.name} {point.dist.version}"
