"""Extension points: things that are found by name, in a file of ours or in an installed package.

A file of ours is found by its stem, a package by its entry points. Listing the names imports neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tvmerge.errors import ConfigError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")


@dataclass(frozen=True)
class Plugins(Generic[T]):
    """One extension point: all the samplers, or all the figures.

    Attributes:
        what: What one of them is called in messages, such as `sampler`.
        kind: Class of the object that each module defines.
        attribute: Name of that object in its module.
        package: Our package; each of its modules is one, unless its name begins with an underscore.
        group: Group of entry points under which installed packages offer theirs.
        spelled: Stem of a file of ours -> its name, where that is no Python name.
    """

    what: str
    kind: type[T]
    attribute: str
    package: str
    group: str
    spelled: Mapping[str, str] = field(default_factory=dict)

    def names(self) -> tuple[str, ...]:
        """The names there are, ours first, each part in alphabetical order; imports none of them."""
        ours = sorted(self._ours, key=str.lower)
        theirs = {point.name for point in self._points()}
        return (*ours, *sorted(theirs - set(ours)))

    def load(self, name: str) -> T:
        """The object called `name`.

        Raises:
            ConfigError: Nothing or more than one thing has that name, or a package's does not load; one line.
        """
        if name not in self._loaded:
            self._loaded[name] = self._found(name)
        return self._loaded[name]

    def origin(self, name: str) -> str:
        """Name and version of the installed package that `name` comes from; empty for one of ours."""
        return "" if name in self._ours else "".join(_package(point) for point in self._points(name))

    def identity(self, name: str, key: str) -> dict[str, str]:
        """What a study notes beside `name`: under `key` the package it comes from; nothing for one of ours.

        Another version of a package may work in another way, and its results must not pass for this one's.
        """
        origin = self.origin(name)
        return {key: origin} if origin else {}

    @cached_property
    def _loaded(self) -> dict[str, T]:
        return {}

    @cached_property
    def _ours(self) -> dict[str, str]:
        """Name -> module, of our own."""
        path = import_module(self.package).__path__
        stems = (module.name for module in iter_modules(path) if not module.name.startswith("_"))
        return {self.spelled.get(stem, stem): f"{self.package}.{stem}" for stem in stems}

    def _points(self, name: str | None = None) -> list[EntryPoint]:
        from importlib.metadata import entry_points

        return [p for p in entry_points(group=self.group) if name is None or p.name == name]

    def _found(self, name: str) -> T:
        points = self._points(name)
        packages = [*(["tvmerge"] if name in self._ours else []), *map(_package, points)]
        if not packages:
            raise ConfigError(f"unknown {self.what} '{name}'; known: {', '.join(self.names())}")
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


def _package(point: EntryPoint) -> str:
    return "an unknown package" if point.dist is None else f"{point.dist.name} {point.dist.version}"
