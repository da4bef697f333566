"""Draws the search: a dot per trial, the best so far as steps, the baselines as dashed lines.

A trial that the race stopped is a small ring at its estimated score, which is from fewer questions.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator

from tvmerge.report.drawing.scale import Scale, apart, padded, tick_labels, ticks
from tvmerge.report.drawing.svg import NARROW, WIDTH, element, figure, group, label, line
from tvmerge.report.figures import Figure
from tvmerge.report.history import HistoryFigure, Point, history, named
from tvmerge.report.language import tr
from tvmerge.report.numbers import plus_minus, score
from tvmerge.report.result import RunRecord

_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 132.0, 16.0, 268.0
_HEIGHT = 326.0
_FAILED_Y = 282.0
_AXIS_Y = 292.0


def draw_history(data: HistoryFigure, width: float = WIDTH) -> str:
    """Return the figure as an SVG document."""
    x = Scale(*_numbers(data), _LEFT + 6, width - _RIGHT - 6)
    y = Scale(*padded(_values(data)), _BOTTOM, _TOP)
    parts = [
        group(_axes(x, y), "axes"),
        group(_reference_lines(data, x, y), "references"),
        group(_whiskers(data, x, y), "whiskers"),
        group(_running_best(data, x, y), "running-best"),
        group(_rings(data, x, y), "stopped"),
        group(_dots(data, x, y), "trials"),
        group(_winner_mark(data, x, y), "winner best"),
        group(_failures(data, x), "failures failed"),
        group(_series_labels(data, x, y), "series-labels"),
    ]
    title = tr("Score of each trial of the search")
    return figure("history", title, data.description, _HEIGHT, parts, width=width)


def _numbers(data: HistoryFigure) -> tuple[float, float]:
    known = [*(point.number for point in (*data.points, *data.stopped)), *data.failed]
    if not known:
        return 0, 1
    return min(known), max(*known, min(known) + 1)


def _values(data: HistoryFigure) -> Iterator[float]:
    for point in data.points:
        reach = (point.se or 0.0) if data.whiskers else 0.0
        yield point.score - reach
        yield point.score + reach
    for point in data.stopped:
        yield point.score
    for reference in data.references:
        yield reference.value


def _axes(x: Scale, y: Scale) -> Iterator[ET.Element]:
    levels = ticks(y.low, y.high)
    for value, text in zip(levels, tick_labels(levels), strict=True):
        yield line(_LEFT, y(value), x.end + 6, y(value), "grid")
        yield label(_LEFT - 8, y(value) + 4, text, "tick", "end")
    yield line(_LEFT, _AXIS_Y, x.end + 6, _AXIS_Y, "axis")
    numbers = ticks(x.low, x.high, 10 if x.end - x.start > 300 else 4, whole=True)
    for value, text in zip(numbers, tick_labels(numbers), strict=True):
        yield label(x(value), _AXIS_Y + 14, text, "tick", "middle")
    yield label((x.start + x.end) / 2, _AXIS_Y + 30, tr("trial"), "caption", "middle")


def _reference_lines(data: HistoryFigure, x: Scale, y: Scale) -> Iterator[ET.Element]:
    for reference in data.references:
        place = y(reference.value)
        yield line(_LEFT, place, x.end + 6, place, f"reference {reference.key}")


def _whiskers(data: HistoryFigure, x: Scale, y: Scale) -> Iterator[ET.Element]:
    for point in data.points if data.whiskers else ():
        if point.se is not None:
            low, high = y(point.score - point.se), y(point.score + point.se)
            yield line(x(point.number), low, x(point.number), high, "whisker")


def _running_best(data: HistoryFigure, x: Scale, y: Scale) -> Iterator[ET.Element]:
    if not data.running_best:
        return
    first, *others = data.running_best
    steps = "".join(f" H{x(point.number):.2f} V{y(point.score):.2f}" for point in others)
    path = f"M{x(first.number):.2f} {y(first.score):.2f}{steps} H{x.end + 6:.2f}"
    yield element("path", d=path, class_="running")


def _dots(data: HistoryFigure, x: Scale, y: Scale) -> Iterator[ET.Element]:
    records = {point.number for point in data.running_best}
    radius = 3.2 if len(data.points) <= 150 else 2.2
    for point in data.points:
        record = point.number in records
        yield element(
            "circle",
            cx=x(point.number),
            cy=y(point.score),
            r=radius + 1 if record else radius,
            class_="mark best" if record else "trial",
            title=_tooltip(point),
        )


def _rings(data: HistoryFigure, x: Scale, y: Scale) -> Iterator[ET.Element]:
    for point in data.stopped:
        text = tr("trial {n}: stopped by the race at about {score}", n=point.number, score=score(point.score))
        yield element("circle", cx=x(point.number), cy=y(point.score), r=2.2, class_="ring", title=text)
    if data.stopped:
        yield label(x.end + 16, _FAILED_Y + 19, tr("○ stopped ({n})", n=len(data.stopped)), "tick")


def _winner_mark(data: HistoryFigure, x: Scale, y: Scale) -> Iterator[ET.Element]:
    if data.winner is not None:
        place, height = x(data.winner.number), y(data.winner.score)
        yield element("circle", cx=place, cy=height, r=7, class_="hollow", title=named(data.winner))
        yield label(place, height - 11, tr("winner"), "series-label", "middle")


def _failures(data: HistoryFigure, x: Scale) -> Iterator[ET.Element]:
    for number in data.failed:
        place = x(number)
        cross = f"M{place - 3:.2f} {_FAILED_Y - 3} l6 6 m0 -6 l-6 6"
        yield element("path", d=cross, class_="stroke", title=tr("trial {number}: failed", number=number))
    if data.failed:
        yield label(x.end + 16, _FAILED_Y + 4, tr("× failed ({n})", n=len(data.failed)), "series-label")


def _series_labels(data: HistoryFigure, x: Scale, y: Scale) -> Iterator[ET.Element]:
    entries = [(reference.key, reference.label, reference.value) for reference in data.references]
    if data.running_best:
        entries.append(("best", data.best, data.running_best[-1].score))
    places = apart([y(value) for _, _, value in entries], 15, _TOP, _BOTTOM)
    for (key, text, value), place in zip(entries, places, strict=True):
        yield group([label(x.end + 16, place + 4, f"{text}\u2002{score(value)}", "series-label")], key)


def _tooltip(point: Point) -> str:
    shown = plus_minus(point.score, point.se)
    return tr("trial {number}: {score}", number=point.number, score=shown)


def _caption(result: RunRecord) -> str:
    if result.by_blocks:
        dot = tr(
            "A dot is a candidate, at the score that is estimated from its answers and from those of "
            "candidates like it."
        )
        chosen = tr("{chosen} by these estimates, so they flatter it.", chosen=_chosen(result))
    else:
        dot = tr("A dot is a trial, on the questions of the search.")
        chosen = tr("{chosen} by these scores, so they flatter it.", chosen=_chosen(result))
    bars = tr("Bars reach one standard error up and down.") if history(result).whiskers else ""
    return " ".join(filter(None, (dot, bars, chosen)))


def _chosen(result: RunRecord) -> str:
    """Return who was chosen by the scores of the search."""
    best = result.contenders[0]
    if best.holdout is None or best.trial is None:
        return tr("The best was chosen")
    if any(finalist.chosen is not None for finalist in result.finalists):
        return tr("The winner, trial {n}, came into the held-out comparison", n=best.trial)
    return tr("The winner, trial {n}, was chosen", n=best.trial)


FIGURE = Figure(
    draw=lambda result: draw_history(history(result)),
    narrow=lambda result: draw_history(history(result), NARROW),
    heading="Search",
    caption=_caption,
    section="search",
    place=0,
)
