"""Figures of the report. Each module here is one, and is found by its name.

A new figure is a module that defines `FIGURE`, a `Figure`: a file in this folder, or one of an installed
package, which names it as an entry point:

    [project.entry-points."tvmerge.figures"]
    coverage = "my_package.coverage"

Then the page of every run has a section with it, and `RunResult.figures` has it by its name. A figure is an
SVG document; `tvmerge.report.drawing` has scales, marks and the style sheet. The page's security policy runs
no script and no style but its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvmerge._util.plugins import Plugins
from tvmerge.errors import ConfigError

if TYPE_CHECKING:
    from tvmerge.report.result import RunRecord

PLACED = ("scores", "history", "weights")
"""Figures that have a section of their own on the page, in its order; others follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What a module of a figure defines.

    Attributes:
        draw: From a run to the figure, an SVG document.
        heading: What its section is called.
        caption: From a run to the words below the figure; None: there are none.
    """

    draw: Callable[[RunRecord], str]
    heading: str
    caption: Callable[[RunRecord], str] | None = None


FIGURES = Plugins(what="figure", kind=Figure, attribute="FIGURE", package=__name__, group="tvmerge.figures")


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure of a run: its heading, its SVG document, and what stands below it."""

    heading: str
    svg: str
    caption: str


def drawn(result: RunRecord) -> dict[str, Drawn]:
    """The figures of a run by their names, those with a place on the page first.

    Raises:
        ConfigError: One of an installed package fails; names it.
    """
    return {name: _drawn(name, result) for name in dict.fromkeys((*PLACED, *FIGURES.names()))}


def _drawn(name: str, result: RunRecord) -> Drawn:
    found = FIGURES.load(name)
    try:
        caption = "" if found.caption is None else found.caption(result)
        return Drawn(found.heading, found.draw(result), caption)
    except Exception as error:
        if not (origin := FIGURES.origin(name)):
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(
            f"the figure '{name}' of {origin} cannot be drawn ({reason}); uninstall it"
        ) from error
