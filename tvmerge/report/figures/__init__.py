"""Figures of the report. Each module here is a figure, found by its name.

A new figure is a module that defines `FIGURE`, a `Figure`. It is a file in this folder, or a module of an
installed package that declares it as an entry point:

    [project.entry-points."tvmerge.figures"]
    coverage = "my_package.coverage"

Then the page of every run shows it, and `RunResult.figures` includes it by name. A figure is an
SVG document; `tvmerge.report.drawing` has scales, marks and the style sheet. The page's security policy
blocks all scripts and styles except its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from tvmerge._util.plugins import Plugins
from tvmerge.errors import ConfigError
from tvmerge.report.language import tr

if TYPE_CHECKING:
    from tvmerge.report.result import RunRecord

Section = Literal["contenders", "search", "weights", ""]
"""The section of the page that shows a figure; empty for a section of its own, after the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure of the report.

    Attributes:
        draw: Returns the figure of a run as an SVG document; an empty text if the run has nothing for it.
        narrow: The same for narrow screens, `NARROW` user units wide; None to scale `draw`'s down.
        heading: Heading of its section.
        caption: Returns the caption below the figure of a run; None for no caption.
        section: The section of the page that shows it.
        place: Its place among the figures of its section, the smallest first.
    """

    draw: Callable[[RunRecord], str]
    heading: str
    caption: Callable[[RunRecord], str] | None = None
    section: Section = ""
    narrow: Callable[[RunRecord], str] | None = None
    place: int = 9


FIGURES = Plugins(what="figure", kind=Figure, attribute="FIGURE", package=__name__, group="tvmerge.figures")


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure of a run: its heading, SVG documents, caption and section of the page.

    `narrow` is the document for narrow screens; empty if there is no other than `svg`.
    """

    heading: str
    svg: str
    caption: str
    section: Section
    narrow: str = ""


def drawn(result: RunRecord) -> dict[str, Drawn]:
    """Draw the figures of a run, by name, in the order of the page.

    Raises:
        ConfigError: A figure of an installed package, named in the message, fails.
    """
    names = sorted(FIGURES.names(), key=_order)
    return {name: _drawn(name, result) for name in names}


def _order(name: str) -> tuple[int, int]:
    found = FIGURES.load(name)
    return get_args(Section).index(found.section), found.place


def _drawn(name: str, result: RunRecord) -> Drawn:
    found = FIGURES.load(name)
    try:
        caption = "" if found.caption is None else found.caption(result)
        narrow = "" if found.narrow is None else found.narrow(result)
        return Drawn(tr(found.heading), found.draw(result), caption, found.section, narrow)
    except Exception as error:
        if not (origin := FIGURES.origin(name)):
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(
            f"the figure '{name}' of {origin} cannot be drawn ({reason}); uninstall it"
        ) from error
