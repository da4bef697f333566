"""Draws a row per contender: its held-out score and its search score with 95% intervals."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass

from tvmerge._util.evidence import FEWEST_QUESTIONS, student_quantile
from tvmerge.records import Estimate
from tvmerge.report.conclusion import conclude, short_name
from tvmerge.report.drawing.scale import Scale, padded, tick_labels, ticks
from tvmerge.report.drawing.svg import BOLD, NARROW, WIDTH, element, figure, group, label, line, text_width
from tvmerge.report.figures import Figure
from tvmerge.report.language import tr
from tvmerge.report.numbers import Z95, estimate
from tvmerge.report.result import Contender, ContenderKey, RunRecord
from tvmerge.report.terminal.table import in_row_order

_LEFT, _RIGHT, _TOP = 116.0, 118.0, 34.0
_TIGHT_LEFT, _TIGHT_RIGHT, _TIGHT_TOP = 92.0, 98.0, 72.0
_ROW, _LINE = 52.0, 18.0
_CAP = 4.0
_GAP = 12.0


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its 95% interval; the bounds equal the mean if the error is unknown, or as good as."""

    mean: float
    low: float
    high: float
    text: str


@dataclass(frozen=True, slots=True)
class ContenderRow:
    """A contender's two scores; None for a missing one."""

    key: ContenderKey
    label: str
    search: Interval | None
    holdout: Interval | None


@dataclass(frozen=True, slots=True)
class ContendersFigure:
    """The data of the figure of the contenders.

    Attributes:
        rows: A row per contender.
        description: The figure in words.
        undecided: Whether too few questions were asked to say which is better; then no row has a colour.
    """

    rows: tuple[ContenderRow, ...]
    description: str
    undecided: bool = False


def contenders(result: RunRecord) -> ContendersFigure:
    """Return the search and held-out scores of the contenders, baselines first."""
    estimated = result.by_blocks
    rows = tuple(
        ContenderRow(
            c.key,
            short_name(c),
            _interval(c.search, least=1 if estimated else FEWEST_QUESTIONS),
            _interval(c.holdout, held_out=True),
        )
        for c in in_row_order(result)
    )
    words = "; ".join(f"{row.label}: {_words(row)}" for row in rows)
    found = conclude(result)
    return ContendersFigure(
        rows=rows,
        description=tr("Scores with 95% intervals. {rows}.", rows=words) + " " + found.sentence,
        undecided=found.kind == "too_few",
    )


def draw_contenders(data: ContendersFigure, width: float = WIDTH) -> str:
    """Return the figure as an SVG document."""
    wide = width == WIDTH
    left, right = (_LEFT, _RIGHT) if wide else (_TIGHT_LEFT, _TIGHT_RIGHT)
    left = max(left, *(text_width(row.label, BOLD) + _GAP for row in data.rows))
    top = _TOP if wide else _TIGHT_TOP
    bottom = top + _ROW * len(data.rows)
    x = Scale(*padded(_values(data)), left + 10, width - right - 10)
    parts = [
        group(_axes(x, top, bottom), "axes"),
        group(_legend(data, x) if wide else _tight_legend(data), "legend weight_0"),
        *(
            group(_row(row, x, top + _ROW * index), "undecided" if data.undecided else row.key)
            for index, row in enumerate(data.rows)
        ),
    ]
    title = tr("Scores of the contenders")
    return figure("contenders", title, data.description, bottom + 44, parts, width=width)


def _values(data: ContendersFigure) -> Iterator[float]:
    for row in data.rows:
        for interval in (row.search, row.holdout):
            if interval is not None:
                yield interval.low
                yield interval.high


def _axes(x: Scale, top: float, bottom: float) -> Iterator[ET.Element]:
    values = ticks(x.low, x.high, 7 if x.end - x.start > 300 else 3)
    for value, text in zip(values, tick_labels(values), strict=True):
        yield line(x(value), top - 6, x(value), bottom, "grid")
        yield label(x(value), bottom + 16, text, "tick", "middle")
    yield line(x.start - 10, bottom, x.end + 10, bottom, "axis")
    yield label((x.start + x.end) / 2, bottom + 34, tr("score"), "caption", "middle")


def _legend(data: ContendersFigure, x: Scale) -> Iterator[ET.Element]:
    place = x.start + 4
    for held_out, text in _marks(data):
        yield _dot(place, 12, held_out=held_out)
        yield label(place + 10, 16, text, "caption")
        place += text_width(text) + 34
    yield label(x.end + 118, 16, tr("bars: 95% intervals"), "caption", "end")


def _tight_legend(data: ContendersFigure) -> Iterator[ET.Element]:
    """Draw the legend with a line for each entry."""
    y = 12.0
    for held_out, text in _marks(data):
        yield _dot(8, y, held_out=held_out)
        yield label(20, y + 4, text, "caption")
        y += _LINE
    yield label(20, y + 4, tr("bars: 95% intervals"), "caption")


def _marks(data: ContendersFigure) -> Iterator[tuple[bool, str]]:
    if any(row.holdout is not None for row in data.rows):
        yield True, tr("held-out questions")
    yield False, tr("questions of the search")


def _row(row: ContenderRow, x: Scale, top: float) -> Iterator[ET.Element]:
    yield label(x.start - 10 - _GAP, top + _ROW / 2 + 4, row.label, "series-label", "end")
    if row.holdout is not None:
        yield from _mark(row.holdout, x, top + 17, held_out=True)
    if row.search is not None:
        yield from _mark(row.search, x, top + (_ROW / 2 if row.holdout is None else 36), held_out=False)


def _mark(interval: Interval, x: Scale, y: float, *, held_out: bool) -> Iterator[ET.Element]:
    low, high = x(interval.low), x(interval.high)
    caps = f"M{low:.2f} {y - _CAP} v{2 * _CAP} m0 {-_CAP} H{high:.2f} m0 {-_CAP} v{2 * _CAP}"
    yield element("path", d=caps, class_="stroke" if held_out else "stroke faded")
    yield _dot(x(interval.mean), y, held_out=held_out)
    yield label(x.end + 20, y + 4, interval.text, "label strong" if held_out else "caption")


def _dot(x: float, y: float, *, held_out: bool) -> ET.Element:
    return element("circle", cx=x, cy=y, r=5 if held_out else 4, class_="mark" if held_out else "hollow")


def _interval(
    value: Estimate | None, *, held_out: bool = False, least: int = FEWEST_QUESTIONS
) -> Interval | None:
    """Return a score's interval: Student's on held-out questions, that of an estimate in the search.

    Args:
        value: The score.
        held_out: Whether its questions were held out.
        least: Number of answered questions from which on the error is known. The estimates of a search by
            blocks know theirs from the answers of other candidates.
    """
    if value is None or not math.isfinite(value.mean):
        return None
    half = 0.0
    if math.isfinite(value.se) and value.n >= least:
        half = value.se * (student_quantile(0.95, value.n - 1) if held_out else Z95)
    return Interval(value.mean, value.mean - half, value.mean + half, estimate(value))


def _words(row: ContenderRow) -> str:
    parts = [(tr("search"), row.search), (tr("held-out"), row.holdout)]
    return ", ".join(f"{part} {found.text}" for part, found in parts if found is not None) or tr("no score")


def _caption(result: RunRecord) -> str:
    best = result.contenders[0]
    bars = tr("Bars are 95% intervals of single scores.")
    if best.holdout is None:
        none = tr("No held-out comparison names a winner; the best of the search was chosen by its score.")
        return f"{bars} {none}"
    rest = tr("How far the winner is ahead of another is known better than either score.")
    if conclude(result).kind == "too_few":
        rest = tr(
            "There are too few held-out questions to say which is better, so nothing is coloured.",
        )
    return " ".join(filter(None, (_named(best), bars, rest)))


def _named(best: Contender) -> str:
    return "" if best.trial is None else tr("The winner is trial {n}.", n=best.trial)


FIGURE = Figure(
    draw=lambda result: draw_contenders(contenders(result)),
    narrow=lambda result: draw_contenders(contenders(result), NARROW),
    heading="Scores",
    caption=_caption,
    section="contenders",
    place=0,
)
