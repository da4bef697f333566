"""Draws the weights of the winner: a bar per group in model order, within the bounds of the search."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tvmerge.report.conclusion import subject_of
from tvmerge.report.drawing.scale import Scale, padded, thinned, tick_labels, ticks
from tvmerge.report.drawing.svg import NARROW, WIDTH, element, figure, group, label, line
from tvmerge.report.figures import Figure
from tvmerge.report.language import tr
from tvmerge.report.numbers import weight
from tvmerge.report.result import WINNER, RunRecord

_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 96.0, 16.0, 236.0
_NAME = 17.0  # the least room of a slanted name in user units
_LONGEST_NAME = 26
_CHARACTER = 6.4  # width of a small letter in user units, to make room for slanted names
_TILT = 55  # degrees, down to the right, where the margin has room for the last name


@dataclass(frozen=True, slots=True)
class WeightsFigure:
    """The data of the figure of the winner's weights.

    Attributes:
        weights: Group and weight, in model order.
        bounds: Bounds of the search.
        one: Label of weight 1.
        description: The figure in words.
        whose: Whose weights they are.
    """

    weights: tuple[tuple[str, float], ...]
    bounds: tuple[float, float]
    one: str
    description: str
    whose: str = WINNER


def weights(result: RunRecord) -> WeightsFigure:
    """Return the winner's weight of each group, in model order."""
    values = tuple(result.contenders[0].weights.items())
    words = tr("{n} weights in model order.", n=len(values))
    if values:
        smallest, largest = min(values, key=lambda v: v[1]), max(values, key=lambda v: v[1])
        words += " " + tr(
            "The smallest is {low} ({first}), the largest {high} ({last}).",
            low=weight(smallest[1]),
            first=smallest[0],
            high=weight(largest[1]),
            last=largest[0],
        )
    whole = result.contender("weight_1")
    one = tr("sparse") if whole is not None and whole.sparse else tr("plain")
    return WeightsFigure(
        weights=values,
        bounds=result.weight_range,
        one=one,
        description=words,
        whose=result.contenders[0].label,
    )


def draw_weights(data: WeightsFigure, width: float = WIDTH) -> str:
    """Return the figure as an SVG document."""
    names = short_names([name for name, _ in data.weights])
    x = Scale(0, max(1, len(names)), _LEFT, width - _RIGHT)
    y = Scale(*padded([0.0, 1.0, *data.bounds, *(value for _, value in data.weights)]), _BOTTOM, _TOP)
    parts = [
        group(_axes(x, y), "axes"),
        group(_bars(data, x, y), "bars best"),
        group(_levels(data, x, y), "levels"),
        group(_names(names, x), "names"),
    ]
    room = max((len(name) for name in names), default=0) * _CHARACTER * 0.82
    title = tr("Weights of the {whose}", whose=tr(data.whose))
    return figure("weights", title, data.description, _BOTTOM + 24 + room, parts, width=width)


def short_names(names: Sequence[str]) -> list[str]:
    """Shorten names: remove what nearly all of them share, and cut those too long to fit under a bar."""
    return [_shortened(name.removeprefix("model.").removesuffix(".weight")) for name in names]


def _shortened(name: str) -> str:
    # The end of a tensor's name is more informative than its middle.
    if len(name) <= _LONGEST_NAME:
        return name
    tail = _LONGEST_NAME // 2
    return f"{name[: _LONGEST_NAME - tail - 1]}…{name[-tail:]}"


def _axes(x: Scale, y: Scale) -> Iterator[ET.Element]:
    levels = ticks(y.low, y.high)
    for value, text in zip(levels, tick_labels(levels), strict=True):
        yield line(x.start, y(value), x.end, y(value), "grid")
        yield label(x.start - 8, y(value) + 4, text, "tick", "end")


def _bars(data: WeightsFigure, x: Scale, y: Scale) -> Iterator[ET.Element]:
    slot = x(1) - x(0)
    # With hundreds of bars, there is no room for gaps.
    width = min(slot * 0.78, 34.0) if slot > 3 else slot
    for index, (name, value) in enumerate(data.weights):
        top, bottom = sorted((y(value), y(0)))
        yield element(
            "rect",
            x=x(index + 0.5) - width / 2,
            y=top,
            width=width,
            height=max(bottom - top, 0.75),
            class_="mark",
            title=f"{name}: {weight(value)}",
        )


def _levels(data: WeightsFigure, x: Scale, y: Scale) -> Iterator[ET.Element]:
    yield line(x.start, y(0), x.end, y(0), "axis")
    yield line(x.start, y(1), x.end, y(1), "reference weight_1")
    yield group([label(x.end + 8, y(1) + 4, f"1 = {data.one}", "series-label")], "weight_1")
    yield label(x.end + 8, y(0) + 4, tr("0 = target"), "label")
    for bound, word in zip(data.bounds, (tr("smallest"), tr("largest")), strict=True):
        if bound not in {0.0, 1.0}:
            yield line(x.start, y(bound), x.end, y(bound), "bound")
            yield label(x.end + 8, y(bound) + 4, f"{weight(bound)} = {word}", "caption")


def _names(names: Sequence[str], x: Scale) -> Iterator[ET.Element]:
    y = _BOTTOM + 14
    for index in thinned(len(names), int((x.end - x.start) / _NAME)):
        place = x(index + 0.5) - 3
        name = label(place, y, names[index], "tick")
        name.set("transform", f"rotate({_TILT} {place:.2f} {y:.2f})")
        yield name


def _caption(result: RunRecord) -> str:
    return tr(
        "The weights of {whose}: new = target + weight × (tuned − base); 0 leaves the target as it is, 1 "
        "adds the whole task vector.",
        whose=subject_of(result.contenders[0]).removesuffix(","),
    )


FIGURE = Figure(
    draw=lambda result: draw_weights(weights(result)),
    narrow=lambda result: draw_weights(weights(result), NARROW),
    heading="Weights of the winner",
    caption=_caption,
    section="weights",
    place=1,
)
