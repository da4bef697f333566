"""Draws the weights of the winner: a bar per group in model order, within the bounds of the search."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tvmerge.report.conclusion import subject_of
from tvmerge.report.drawing.scale import Scale, padded, thinned, tick_labels, ticks
from tvmerge.report.drawing.svg import WIDTH, element, figure, group, label, line
from tvmerge.report.figures import Figure
from tvmerge.report.numbers import count, weight
from tvmerge.report.result import WINNER, RunRecord

_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, WIDTH - 96, 16.0, 236.0
_MOST_NAMES = 36
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
    words = f"{count(len(values), 'weight')} in model order"
    if values:
        smallest, largest = min(values, key=lambda v: v[1]), max(values, key=lambda v: v[1])
        words += (
            f"; the smallest is {weight(smallest[1])} ({smallest[0]}), "
            f"the largest {weight(largest[1])} ({largest[0]})"
        )
    whole = result.contender("weight_1")
    one = "sparse" if whole is not None and whole.sparse else "plain"
    return WeightsFigure(
        weights=values,
        bounds=result.weight_range,
        one=one,
        description=f"{words}.",
        whose=result.contenders[0].label,
    )


def draw_weights(data: WeightsFigure) -> str:
    """Return the figure as an SVG document."""
    names = short_names([name for name, _ in data.weights])
    y = Scale(*padded([0.0, 1.0, *data.bounds, *(value for _, value in data.weights)]), _BOTTOM, _TOP)
    parts = [
        group(_axes(y), "axes"),
        group(_bars(data, y), "bars best"),
        group(_levels(data, y), "levels"),
        group(_names(names), "names"),
    ]
    room = max((len(name) for name in names), default=0) * _CHARACTER * 0.82
    return figure("weights", f"Weights of the {data.whose}", data.description, _BOTTOM + 24 + room, parts)


def short_names(names: Sequence[str]) -> list[str]:
    """Shorten names: remove what nearly all of them share, and cut those too long to fit under a bar."""
    return [_shortened(name.removeprefix("model.").removesuffix(".weight")) for name in names]


def _shortened(name: str) -> str:
    # The end of a tensor's name is more informative than its middle.
    if len(name) <= _LONGEST_NAME:
        return name
    tail = _LONGEST_NAME // 2
    return f"{name[: _LONGEST_NAME - tail - 1]}…{name[-tail:]}"


def _axes(y: Scale) -> Iterator[ET.Element]:
    levels = ticks(y.low, y.high)
    for value, text in zip(levels, tick_labels(levels), strict=True):
        yield line(_LEFT, y(value), _RIGHT, y(value), "grid")
        yield label(_LEFT - 8, y(value) + 4, text, "tick", "end")


def _bars(data: WeightsFigure, y: Scale) -> Iterator[ET.Element]:
    slot = (_RIGHT - _LEFT) / max(1, len(data.weights))
    # With hundreds of bars, there is no room for gaps.
    width = min(slot * 0.78, 34.0) if slot > 3 else slot
    for index, (name, value) in enumerate(data.weights):
        top, bottom = sorted((y(value), y(0)))
        yield element(
            "rect",
            x=_LEFT + (index + 0.5) * slot - width / 2,
            y=top,
            width=width,
            height=max(bottom - top, 0.75),
            class_="mark",
            title=f"{name}: {weight(value)}",
        )


def _levels(data: WeightsFigure, y: Scale) -> Iterator[ET.Element]:
    yield line(_LEFT, y(0), _RIGHT, y(0), "axis")
    yield line(_LEFT, y(1), _RIGHT, y(1), "reference weight_1")
    yield group([label(_RIGHT + 8, y(1) + 4, f"1 = {data.one}", "series-label")], "weight_1")
    yield label(_RIGHT + 8, y(0) + 4, "0 = target", "label")
    for bound, word in zip(data.bounds, ("smallest", "largest"), strict=True):
        if bound not in {0.0, 1.0}:
            yield line(_LEFT, y(bound), _RIGHT, y(bound), "bound")
            yield label(_RIGHT + 8, y(bound) + 4, f"{weight(bound)} = {word}", "caption")


def _names(names: Sequence[str]) -> Iterator[ET.Element]:
    slot = (_RIGHT - _LEFT) / max(1, len(names))
    for index in thinned(len(names), _MOST_NAMES):
        x, y = _LEFT + (index + 0.5) * slot - 3, _BOTTOM + 14
        name = label(x, y, names[index], "tick")
        name.set("transform", f"rotate({_TILT} {x:.2f} {y:.2f})")
        yield name


def _draw(result: RunRecord) -> str:
    return draw_weights(weights(result))


def _caption(result: RunRecord) -> str:
    whose = subject_of(result.contenders[0]).removesuffix(",")
    return (
        f"The weights of {whose}: new = target + weight × (tuned − base); 0 leaves the target as it is, 1 "
        "adds the whole task vector."
    )


FIGURE = Figure(draw=_draw, heading="Weights of the winner", caption=_caption, section="weights")
