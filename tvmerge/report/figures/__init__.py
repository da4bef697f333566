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

if TYPE_CHECKING:
    from tvmerge.report.result import RunRecord

Section = Literal["contenders", "search", "weights", ""]
"""The section of the page that shows a figure; empty for a section of its own, after the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure of the report.

    Attributes:
        draw: Returns the figure of a run as an SVG document.
        heading: Heading of its section.
        caption: Returns the caption below the figure of a run; None for no caption.
        section: The section of the page that shows it.
    """

    draw: Callable[[RunRecord], str]
    heading: str
    caption: Callable[[RunRecord], str] | None = None
    section: Section = ""


FIGURES = Plugins(what="figure", kind=Figure, attribute="FIGURE", package=__name__, group="tvmerge.figures")


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure of a run: its heading, SVG document, caption and section of the page."""

    heading: str
    svg: str
    caption: str
    section: Section


def drawn(result: RunRecord) -> dict[str, Drawn]:
    """Draw the figures of a run, by name, in the order of the page.

    Raises:
        ConfigError: A figure of an installed package, named in the message, fails.
    """
    order = get_args(Section).index
    names = sorted(FIGURES.names(), key=lambda name: order(FIGURES.load(name).section))
    return {name: _drawn(name, result) for name in names}


def _drawn(name: str, result: RunRecord) -> Drawn:
    found = FIGURES.load(name)
    try:
        caption = "" if found.caption is None else found.caption(result)
        return Drawn(found.heading, found.draw(result), caption, found.section)
    except Exception as error:
        if not (origin := FIGURES.origin(name)):
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(
            f"the figure '{name}' of {origin} cannot be drawn ({reason}); uninstall it"
        ) from error
