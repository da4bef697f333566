"""Draws the score of each candidate against its weights: the mean of all, then those that mattered most."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from tvmerge.report.drawing.scale import Scale, padded, tick_labels, ticks
from tvmerge.report.drawing.shortening import fitted
from tvmerge.report.drawing.svg import BOLD, NARROW, WIDTH, element, figure, group, label, line
from tvmerge.report.figures import Figure
from tvmerge.report.group_names import is_density
from tvmerge.report.importance import importance, score_of
from tvmerge.report.language import tr
from tvmerge.report.numbers import score
from tvmerge.report.result import RunRecord

PANELS = 12
"""Number of panels, that of the mean included."""

_LEFT, _GAP = 34.0, 14.0
_TITLE, _PLOT, _AXIS = 22.0, 108.0, 34.0


@dataclass(frozen=True, slots=True)
class Dot:
    """A candidate in a panel; `given` if its weights were not drawn but given."""

    weight: float
    score: float
    given: bool


@dataclass(frozen=True, slots=True)
class Panel:
    """The candidates by one weight, or by the mean of all; `best` is the winner."""

    name: str
    dots: tuple[Dot, ...]
    best: Dot | None


@dataclass(frozen=True, slots=True)
class ScatterFigure:
    """The data of the figure: its panels, the bounds of weights and scores, and the figure in words."""

    panels: tuple[Panel, ...]
    weights: tuple[float, float]
    scores: tuple[float, float]
    description: str


def scores_by_weight(result: RunRecord) -> ScatterFigure:
    """Return the scores of all candidates by their mean weight and by the weights that mattered most."""
    scored = [trial for trial in result.trials if score_of(trial) is not None and trial.state != "FAIL"]
    names = [name for name in result.contenders[0].weights if not is_density(name)]
    ranked = [name for name in importance(result.trials).shares if not is_density(name)] or names
    columns = [(tr("mean weight"), names)]
    if len(names) > 1:
        columns += [(name, [name]) for name in ranked[: PANELS - 1]]
    panels = []
    for title, some in columns:
        dots = {
            trial.number: Dot(
                fmean(trial.recipe.weights[name] for name in some if name in trial.recipe.weights),
                score_of(trial) or 0.0,
                bool(trial.attrs.get("fixed")),
            )
            for trial in scored
            if any(name in trial.recipe.weights for name in some)
        }
        best = result.contenders[0].trial
        panels.append(Panel(title, tuple(dots.values()), None if best is None else dots.get(best)))
    everything = [dot for panel in panels for dot in panel.dots]
    return ScatterFigure(
        panels=tuple(panels),
        weights=padded([*result.weight_range, *(dot.weight for dot in everything)], 0.03),
        scores=padded(dot.score for dot in everything),
        description=tr("{n} candidates in {panels} panels.", n=len(scored), panels=len(panels)),
    )


def draw_scatter(data: ScatterFigure, width: float = WIDTH) -> str:
    """Return the figure as an SVG document; an empty text without a score."""
    if not data.panels or not data.panels[0].dots:
        return ""
    across = min(4 if width == WIDTH else 2, len(data.panels))
    wide = (width - _GAP * (across - 1)) / across
    tall = _TITLE + _PLOT + _AXIS
    rows = -(-len(data.panels) // across)
    parts = [
        group(_panel(panel, data, (place % across) * (wide + _GAP), (place // across) * tall, wide), "panel")
        for place, panel in enumerate(data.panels)
    ]
    return figure("scatter", tr("Score against weight"), data.description, rows * tall, parts, width=width)


def _panel(panel: Panel, data: ScatterFigure, left: float, top: float, wide: float) -> Iterator[ET.Element]:
    x = Scale(*data.weights, left + _LEFT, left + wide - 6)
    y = Scale(*data.scores, top + _TITLE + _PLOT, top + _TITLE)
    yield label(x.start, top + 14, fitted(panel.name, x.end - x.start, BOLD), "label strong")
    levels = ticks(*data.scores, 4)
    for value, text in zip(levels, tick_labels(levels), strict=True):
        yield line(x.start, y(value), x.end, y(value), "grid")
        yield label(x.start - 6, y(value) + 4, text, "tick", "end")
    yield line(x.start, y.start, x.end, y.start, "axis")
    places = ticks(*data.weights, 3)
    for value, text in zip(places, tick_labels(places), strict=True):
        yield label(x(value), y.start + 14, text, "tick", "middle")
    yield element("path", d=_points([d for d in panel.dots if not d.given], x, y), class_="dots drawn")
    yield element("path", d=_points([d for d in panel.dots if d.given], x, y), class_="dots given")
    if panel.best is not None:
        where, height = x(panel.best.weight), y(panel.best.score)
        text = tr("best: {score}", score=score(panel.best.score))
        yield group([element("circle", cx=where, cy=height, r=4.5, class_="mark", title=text)], "best")


def _points(dots: Sequence[Dot], x: Scale, y: Scale) -> str:
    """Return a path of a dot per candidate: a thousand circles in each panel would make a heavy page."""
    return "".join(f"M{x(dot.weight):.1f} {y(dot.score):.1f}h0" for dot in dots) or "M0 0"


def _caption(result: RunRecord) -> str:
    few = not importance(result.trials).shares
    order = (
        tr("The first weights in model order follow.")
        if few
        else tr("The weights that mattered most follow.")
    )
    return " ".join(
        (
            tr("A dot is a candidate. Orange: its weights were given, not drawn. The large one is the best."),
            order if len(result.contenders[0].weights) > 1 else "",
        )
    ).strip()


FIGURE = Figure(
    draw=lambda result: draw_scatter(scores_by_weight(result)),
    narrow=lambda result: draw_scatter(scores_by_weight(result), NARROW),
    heading="Score against weight",
    caption=_caption,
    section="weights",
    place=3,
)
