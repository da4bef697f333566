"""Draws the contenders: a row each, its held-out and its search score with their 95% intervals."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator

from tvmerge.report.figures._data import ContenderRow, ContendersFigure, Interval
from tvmerge.report.figures._scale import Scale, padded, tick_labels, ticks
from tvmerge.report.figures._svg import WIDTH, element, figure, group, label, line

_LEFT, _RIGHT, _TOP = 116.0, WIDTH - 118, 34.0
_ROW = 52.0
_CAP = 4.0


def draw_contenders(data: ContendersFigure) -> str:
    """The figure as an SVG document."""
    bottom = _TOP + _ROW * len(data.rows)
    x = Scale(*padded(_values(data)), _LEFT + 10, _RIGHT - 10)
    parts = [
        group(_axes(x, bottom), "axes"),
        group(_legend(data), "legend weight_0"),
        *(group(_row(row, x, _TOP + _ROW * index), row.key) for index, row in enumerate(data.rows)),
    ]
    return figure("contenders", "Scores of the contenders", data.description, bottom + 44, parts)


def _values(data: ContendersFigure) -> Iterator[float]:
    for row in data.rows:
        for interval in (row.search, row.holdout):
            if interval is not None:
                yield interval.low
                yield interval.high


def _axes(x: Scale, bottom: float) -> Iterator[ET.Element]:
    values = ticks(x.low, x.high, 7)
    for value, text in zip(values, tick_labels(values), strict=True):
        yield line(x(value), _TOP - 6, x(value), bottom, "grid")
        yield label(x(value), bottom + 16, text, "tick", "middle")
    yield line(_LEFT, bottom, _RIGHT, bottom, "axis")
    yield label((_LEFT + _RIGHT) / 2, bottom + 34, "score", "caption", "middle")


def _legend(data: ContendersFigure) -> Iterator[ET.Element]:
    place = _LEFT + 14
    if any(row.holdout is not None for row in data.rows):
        yield _dot(place, 12, held_out=True)
        yield label(place + 10, 16, "held-out questions", "caption")
        place += 144
    yield _dot(place, 12, held_out=False)
    yield label(place + 10, 16, "questions of the search", "caption")
    yield label(_RIGHT + 108, 16, "bars: 95% intervals", "caption", "end")


def _row(row: ContenderRow, x: Scale, top: float) -> Iterator[ET.Element]:
    yield label(_LEFT - 12, top + _ROW / 2 + 4, row.label, "series-label", "end")
    if row.holdout is not None:
        yield from _mark(row.holdout, x, top + 17, held_out=True)
    if row.search is not None:
        yield from _mark(row.search, x, top + (_ROW / 2 if row.holdout is None else 36), held_out=False)


def _mark(interval: Interval, x: Scale, y: float, *, held_out: bool) -> Iterator[ET.Element]:
    low, high = x(interval.low), x(interval.high)
    caps = f"M{low:.2f} {y - _CAP} v{2 * _CAP} m0 {-_CAP} H{high:.2f} m0 {-_CAP} v{2 * _CAP}"
    yield element("path", d=caps, class_="stroke" if held_out else "stroke faded")
    yield _dot(x(interval.mean), y, held_out=held_out)
    yield label(_RIGHT + 10, y + 4, interval.text, "label strong" if held_out else "caption")


def _dot(x: float, y: float, *, held_out: bool) -> ET.Element:
    return element("circle", cx=x, cy=y, r=5 if held_out else 4, class_="mark" if held_out else "hollow")
