"""Draws the weights of the best as a map: a column per layer, a row per kind of parameter."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from tvmerge.report.drawing.scale import Scale, thinned, tick_labels, ticks
from tvmerge.report.drawing.shortening import fitted
from tvmerge.report.drawing.svg import NARROW, WIDTH, element, figure, group, label, text_width
from tvmerge.report.figures import Figure
from tvmerge.report.group_names import is_density, read_group
from tvmerge.report.language import tr
from tvmerge.report.numbers import weight
from tvmerge.report.result import RunRecord

_TOP, _ROW, _GAP = 10.0, 20.0, 1.0
_WIDEST = 34.0
_SWATCHES = 24


@dataclass(frozen=True, slots=True)
class HeatMap:
    """The data of the map.

    Attributes:
        layers: The layers, in order.
        rows: By kind of parameter, in model order, the mean weight in each layer that has it. A part outside
            of the layers has its weight under None.
        bounds: Bounds of the colours: those of the search, and of all weights shown.
        description: The map in words.
        whose: Whose weights they are.
    """

    layers: tuple[int, ...]
    rows: Mapping[str, Mapping[int | None, float]]
    bounds: tuple[float, float]
    description: str
    whose: str


def heat_map(result: RunRecord) -> HeatMap:
    """Return the best's weights by kind and layer; several in one place (experts) by their mean."""
    cells: dict[str, dict[int | None, list[float]]] = {}
    for name, value in result.contenders[0].weights.items():
        if not is_density(name):
            place = read_group(name)
            cells.setdefault(place.row, {}).setdefault(place.layer, []).append(value)
    rows = {row: {layer: fmean(some) for layer, some in found.items()} for row, found in cells.items()}
    layers = sorted({layer for found in rows.values() for layer in found if layer is not None})
    values = [value for found in rows.values() for value in found.values()]
    low, high = min([*result.weight_range, *values]), max([*result.weight_range, *values])
    words = tr("{kinds} kinds of weights in {layers} layers.", kinds=len(rows), layers=len(layers))
    means = {row: fmean(found.values()) for row, found in rows.items()}
    if len(means) > 1:
        top, bottom = max(means, key=means.__getitem__), min(means, key=means.__getitem__)
        words += " " + tr(
            "On average {top} has the largest ({high}) and {bottom} the smallest ({low}).",
            top=top,
            bottom=bottom,
            high=weight(means[top]),
            low=weight(means[bottom]),
        )
    return HeatMap(tuple(layers), rows, (low, high), words, result.contenders[0].label)


def draw_heat_map(data: HeatMap, width: float = WIDTH) -> str:
    """Return the figure as an SVG document; an empty text without layers, where there is nothing to map."""
    if not data.layers:
        return ""
    names = [fitted(row, 0.38 * width) for row in data.rows]
    left = max(map(text_width, names)) + 10
    cell = min((width - left - 4) / len(data.layers), _WIDEST)
    bottom = _TOP + _ROW * len(data.rows)
    parts = [
        group(_names(names, left), "names"),
        group(_cells(data, left, cell), "cells"),
        group(_layers(data.layers, left, cell, bottom), "axes"),
        group(_legend(data.bounds, left, bottom + 52, min(240.0, width - left - 40)), "legend"),
    ]
    title = tr("Weights of the {whose} by layer and kind", whose=tr(data.whose))
    return figure("heatmap", title, data.description, bottom + 88, parts, width=width)


def _names(names: Sequence[str], left: float) -> Iterator[ET.Element]:
    for place, name in enumerate(names):
        yield label(left - 8, _TOP + _ROW * (place + 0.5) + 4, name, "label", "end")


def _cells(data: HeatMap, left: float, cell: float) -> Iterator[ET.Element]:
    columns: dict[int | None, int] = {layer: place for place, layer in enumerate(data.layers)}
    for place, (row, found) in enumerate(data.rows.items()):
        for layer, value in found.items():
            where = row if layer is None else tr("{kind}, layer {layer}", kind=row, layer=layer)
            corner = (left + cell * columns.get(layer, 0), _TOP + _ROW * place)
            yield _swatch(corner, cell, value, data.bounds, f"{where}: {weight(value)}")


def _swatch(
    corner: tuple[float, float], cell: float, value: float, bounds: tuple[float, float], title: str = ""
) -> ET.Element:
    """Draw a weight: the stronger, the further from 0; weights below 0 have another colour."""
    furthest = max(abs(bounds[0]), abs(bounds[1])) or 1.0
    return element(
        "rect",
        x=corner[0],
        y=corner[1],
        width=max(cell - (_GAP if cell > 4 else 0), 0.5),
        height=_ROW - _GAP,
        fill_opacity=f"{0.04 + 0.96 * abs(value) / furthest:.3f}",
        class_="cell below" if value < 0 else "cell",
        title=title,
    )


def _layers(layers: Sequence[int], left: float, cell: float, bottom: float) -> Iterator[ET.Element]:
    room = max(1, int(cell * len(layers) / 26))
    for place in thinned(len(layers), room):
        yield label(left + cell * (place + 0.5), bottom + 14, str(layers[place]), "tick", "middle")
    yield label(left, bottom + 32, tr("layer"), "caption")


def _legend(bounds: tuple[float, float], left: float, top: float, width: float) -> Iterator[ET.Element]:
    scale = Scale(*bounds, left, left + width)
    step = width / _SWATCHES
    for place in range(_SWATCHES):
        value = bounds[0] + (place + 0.5) / _SWATCHES * (bounds[1] - bounds[0])
        yield _swatch((left + place * step, top - _ROW / 2), step + 1, value, bounds)
    values = ticks(*bounds, 4)
    for value, text in zip(values, tick_labels(values), strict=True):
        yield label(scale(value), top + 24, text, "tick", "middle")


def _caption(_: RunRecord) -> str:
    return tr(
        "The stronger the colour, the more of the task vector is added there; weights below 0 have another "
        "colour. Parts outside of the layers have one cell."
    )


FIGURE = Figure(
    draw=lambda result: draw_heat_map(heat_map(result)),
    narrow=lambda result: draw_heat_map(heat_map(result), NARROW),
    heading="Weights by layer and kind",
    caption=_caption,
    section="weights",
    place=0,
)
