"""Draws the contenders' mean ratings in each category of questions."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from tvmerge.records import Rating
from tvmerge.report.conclusion import short_name
from tvmerge.report.drawing.scale import Scale, padded, tick_labels, ticks
from tvmerge.report.drawing.shortening import fitted
from tvmerge.report.drawing.svg import BOLD, NARROW, WIDTH, element, figure, group, label, line, text_width
from tvmerge.report.figures import Figure
from tvmerge.report.language import tr
from tvmerge.report.numbers import score
from tvmerge.report.result import ContenderKey, RunRecord, Sample
from tvmerge.report.terminal.table import in_row_order

_ROW, _LINE = 30.0, 18.0
_SHAPES: Mapping[ContenderKey, str] = {
    "weight_0": "M-4 -4h8v8h-8z",
    "weight_1": "M0 -5.2L5 3.6H-5z",
    "uniform": "M0 -5.4L5.4 0L0 5.4L-5.4 0z",
    "best": "M-5.2 0a5.2 5.2 0 1 0 10.4 0a5.2 5.2 0 1 0 -10.4 0z",
}
"""A shape for each contender, so that none is told by its colour alone."""


@dataclass(frozen=True, slots=True)
class CategoryRow:
    """A category: its number of questions, and each contender's mean rating."""

    name: str
    questions: int
    means: Mapping[ContenderKey, float]


@dataclass(frozen=True, slots=True)
class CategoriesFigure:
    """The data of the figure: a row per category, the contenders' names, and the figure in words."""

    rows: tuple[CategoryRow, ...]
    labels: Mapping[ContenderKey, str]
    description: str


def categories(result: RunRecord) -> CategoriesFigure:
    """Return the mean ratings by category of the contenders whose answers are known."""
    known = [contender for contender in in_row_order(result) if contender.samples]
    asked = {s.question.question_id: s.question.category for c in known for s in c.samples}
    rows = []
    for category in dict.fromkeys(asked.values()):
        means = {c.key: _mean(c.samples, category) for c in known}
        found = {key: mean for key, mean in means.items() if not math.isnan(mean)}
        rows.append(CategoryRow(category, list(asked.values()).count(category), found))
    rows = [row for row in rows if row.means]
    words = "; ".join(
        f"{row.name}: " + ", ".join(f"{key.replace('_', ' ')} {score(m)}" for key, m in row.means.items())
        for row in rows
    )
    return CategoriesFigure(tuple(rows), {c.key: short_name(c) for c in known}, f"{words}.")


def draw_categories(data: CategoriesFigure, width: float = WIDTH) -> str:
    """Return the figure as an SVG document; an empty text without a rated answer."""
    if not data.rows:
        return ""
    names = [fitted(f"{row.name} ({row.questions})", 0.34 * width) for row in data.rows]
    left = max(map(text_width, names)) + 12
    x = Scale(*padded([m for row in data.rows for m in row.means.values()], least=1.0), left, width - 10)
    legend, top = _legend(data, left if width == WIDTH else 4.0, width)
    bottom = top + _ROW * len(data.rows)
    parts = [
        group(_axes(x, top, bottom), "axes"),
        group(legend, "legend"),
        *(
            group(_row(row, name, x, top + _ROW * (place + 0.5)), "row")
            for place, (row, name) in enumerate(zip(data.rows, names, strict=True))
        ),
    ]
    title = tr("Mean rating by category")
    return figure("categories", title, data.description, bottom + 24, parts, width=width)


def _legend(data: CategoriesFigure, left: float, width: float) -> tuple[list[ET.Element], float]:
    """Return the legend, which takes as many lines as it needs, and where the rows begin."""
    parts, x, y = [], left, 12.0
    for key, text in data.labels.items():
        wide = 16 + text_width(text, BOLD) + 18
        if x > left and x + wide > width:
            x, y = left, y + _LINE
        parts.append(group([_shape(key, x + 6, y), label(x + 16, y + 4, text, "series-label")], key))
        x += wide
    return parts, y + 14


def _axes(x: Scale, top: float, bottom: float) -> Iterator[ET.Element]:
    values = ticks(x.low, x.high, max(3, int((x.end - x.start) / 90)))
    for value, text in zip(values, tick_labels(values), strict=True):
        yield line(x(value), top, x(value), bottom, "grid")
        yield label(x(value), bottom + 16, text, "tick", "middle")


def _row(row: CategoryRow, name: str, x: Scale, y: float) -> Iterator[ET.Element]:
    yield label(x.start - 10, y + 4, name, "label", "end")
    places = [x(mean) for mean in row.means.values()]
    yield line(min(places), y, max(places), y, "axis")
    for key, mean in row.means.items():
        yield group([_shape(key, x(mean), y, f"{row.name}, {key.replace('_', ' ')}: {score(mean)}")], key)


def _shape(key: ContenderKey, x: float, y: float, title: str = "") -> ET.Element:
    return element(
        "path", d=_SHAPES[key], transform=f"translate({x:.2f} {y:.2f})", class_="shape", title=title
    )


def _mean(samples: Sequence[Sample], category: str) -> float:
    ratings = [
        judgment.score
        for sample in samples
        if sample.question.category == category
        for judgment in sample.judgments
        if isinstance(judgment, Rating) and not math.isnan(judgment.score)
    ]
    return fmean(ratings) if ratings else math.nan


def _caption(result: RunRecord) -> str:
    if not categories(result).rows:
        return ""
    return tr(
        "Mean ratings by category; the number of questions is in brackets. Few questions vary by chance."
    )


FIGURE = Figure(
    draw=lambda result: draw_categories(categories(result)),
    narrow=lambda result: draw_categories(categories(result), NARROW),
    heading="Mean rating by category",
    caption=_caption,
    section="contenders",
    place=1,
)
