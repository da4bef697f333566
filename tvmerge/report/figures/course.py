"""Draws how a run went on: its best score against what it cost, and calls and cost against time."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tvmerge.report.course import PAUSE, Course, Moment
from tvmerge.report.drawing.scale import Scale, padded, tick_labels, ticks
from tvmerge.report.drawing.svg import NARROW, WIDTH, element, figure, group, label, line
from tvmerge.report.figures import Figure
from tvmerge.report.language import tr
from tvmerge.report.numbers import duration, score
from tvmerge.report.result import RunRecord

_LEFT, _RIGHT, _HEIGHT, _STEP = 56.0, 16.0, 120.0, 190.0
_UNITS = ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve of the figure, which rises in steps.

    Attributes:
        title: What it shows.
        across: What its horizontal axis shows.
        points: Its corners.
        from_zero: Whether its vertical axis begins at 0.
        whole: Whether its values are integers.
    """

    title: str
    across: str
    points: tuple[tuple[float, float], ...]
    from_zero: bool = True
    whole: bool = False


@dataclass(frozen=True, slots=True)
class CourseFigure:
    """The data of the figure: its curves, and the figure in words."""

    curves: tuple[Curve, ...]
    description: str


def course(found: Course | None) -> CourseFigure:
    """Return the curves of a run; none if nothing is known of its times."""
    if found is None or len(found.moments) < 2:
        return CourseFigure((), "")
    last = found.moments[-1]
    costs = found.priced and last.cost > 0
    curves = [*_scores(found.moments, last, costs=costs)]
    size, unit = _unit(last.seconds)
    clock = [moment.seconds / size for moment in found.moments]
    if last.calls:
        calls = tuple(zip(clock, (float(m.calls) for m in found.moments), strict=True))
        curves.append(Curve(tr("Judge calls"), unit, calls, whole=True))
    if costs:
        paid = tuple(zip(clock, (m.cost for m in found.moments), strict=True))
        curves.append(Curve(tr("Cost in USD"), unit, paid))
    return CourseFigure(tuple(curves), _words(found, last, costs=costs))


def draw_course(data: CourseFigure, width: float = WIDTH) -> str:
    """Return the figure as an SVG document; an empty text without a curve."""
    if not data.curves:
        return ""
    parts = [
        group(_curve(curve, number * _STEP + 30, width), "curve") for number, curve in enumerate(data.curves)
    ]
    title = tr("Score, calls and cost in the course of the run")
    return figure("course", title, data.description, _STEP * len(data.curves), parts, width=width)


def caption(result: RunRecord) -> str:
    """Return from when candidates count, and how the time is counted; empty without a curve."""
    if not course(result.course).curves:
        return ""
    first = tr("A candidate counts from its first question on, with its estimate at the end of the search.")
    return f"{first} {pause_note(result.course)}" if result.by_blocks else pause_note(result.course)


def pause_note(found: Course | None) -> str:
    """Return how the time is counted."""
    if found is None:
        return ""
    words = tr(
        "The time includes all sessions of the run. Gaps of more than {gap} without a call or a trial are "
        "left out.",
        gap=duration(PAUSE),
    )
    if found.pauses:
        left = tr("Left out: {time} (gaps: {n}).", n=found.pauses, time=duration(found.paused))
        words = f"{words} {left}"
    return words


def _scores(moments: Sequence[Moment], last: Moment, *, costs: bool) -> Iterator[Curve]:
    """Yield the best score against the cost, else the calls, else the time."""
    size, unit = _unit(last.seconds)
    if costs:
        across, spent = tr("cost in USD"), [moment.cost for moment in moments]
    elif last.calls:
        across, spent = tr("judge calls"), [float(moment.calls) for moment in moments]
    else:
        across, spent = unit, [moment.seconds / size for moment in moments]
    points = tuple(
        (place, moment.best) for place, moment in zip(spent, moments, strict=True) if moment.best is not None
    )
    if points:
        yield Curve(tr("Best score so far"), across, points, from_zero=False)


def _words(found: Course, last: Moment, *, costs: bool) -> str:
    words = [tr("The run worked for {time}.", time=duration(last.seconds))]
    if last.calls:
        words.append(tr("Its judges were called {n} times.", n=f"{last.calls:,}"))
    if costs:
        words.append(tr("This cost {cost} USD.", cost=f"{last.cost:,.2f}"))
    first = next((moment for moment in found.moments if moment.best == last.best), None)
    if first is not None and last.best is not None:
        words.append(
            tr(
                "The best score, {score}, was reached after {time} and {n} calls.",
                score=score(last.best),
                time=duration(first.seconds),
                n=f"{first.calls:,}",
            )
        )
    return " ".join(words)


def _curve(curve: Curve, top: float, width: float) -> Iterator[ET.Element]:
    x = Scale(0.0, max(curve.points[-1][0], 1e-9), _LEFT, width - _RIGHT)
    y = Scale(*_bounds(curve), top + _HEIGHT, top)
    yield label(0, top - 14, curve.title, "label strong")
    yield from _axes(curve, x, y)
    (first_x, first_y), *others = curve.points
    steps = "".join(f" H{x(across):.2f} V{y(value):.2f}" for across, value in others)
    path = f"M{x(first_x):.2f} {y(first_y):.2f}{steps} H{x.end:.2f}"
    yield element("path", d=path, class_="running", title=curve.title)


def _bounds(curve: Curve) -> tuple[float, float]:
    values = [value for _, value in curve.points]
    return (0.0, max(*values, 1e-9) * 1.06) if curve.from_zero else padded(values)


def _axes(curve: Curve, x: Scale, y: Scale) -> Iterator[ET.Element]:
    levels = ticks(y.low, y.high, 4, whole=curve.whole)
    for value, text in zip(levels, _grouped(levels), strict=True):
        yield line(_LEFT, y(value), x.end, y(value), "grid")
        yield label(_LEFT - 8, y(value) + 4, text, "tick", "end")
    yield line(_LEFT, y.start, x.end, y.start, "axis")
    places = ticks(x.low, x.high, 6 if x.end - x.start > 320 else 3)
    for value, text in zip(places, _grouped(places), strict=True):
        yield label(min(x(value), x.end - 4), y.start + 15, text, "tick", "middle")
    yield label((x.start + x.end) / 2, y.start + 31, curve.across, "caption", "middle")


def _grouped(values: Sequence[float]) -> Iterable[str]:
    """Yield the labels of ticks, large numbers with their thousands grouped."""
    return (
        f"{value:,.0f}" if abs(value) >= 1000 else text
        for value, text in zip(values, tick_labels(values), strict=True)
    )


def _unit(seconds: float) -> tuple[float, str]:
    """Return the unit of time that suits a run, in seconds and by name."""
    size, name = next((pair for pair in _UNITS if seconds >= 2 * pair[0]), _UNITS[-1])
    return size, {
        "days": tr("days of work"),
        "hours": tr("hours of work"),
        "minutes": tr("minutes of work"),
        "seconds": tr("seconds of work"),
    }[name]


FIGURE = Figure(
    draw=lambda result: draw_course(course(result.course)),
    narrow=lambda result: draw_course(course(result.course), NARROW),
    heading="Score, calls and cost in the course of the run",
    caption=caption,
    place=1,
)
