"""Draws what a run has used: calls of each judge, answered and from the cache, with their cost and time."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tvmerge.report.drawing.scale import Scale
from tvmerge.report.drawing.shortening import fitted, wrapped
from tvmerge.report.drawing.svg import BOLD, NARROW, WIDTH, element, figure, group, label
from tvmerge.report.figures import Figure
from tvmerge.report.language import tr
from tvmerge.report.numbers import duration
from tvmerge.report.result import RunRecord

_LINE, _BAR, _SPACE = 17.0, 14.0, 18.0


@dataclass(frozen=True, slots=True)
class JudgeRow:
    """What one judge has used.

    Attributes:
        judge: Its name.
        calls: Number of answered calls.
        hits: Number of judgments from the cache.
        cost: Its cost in USD, in words.
        details: Tokens, failed attempts and seconds a call, in words.
    """

    judge: str
    calls: int
    hits: int
    cost: str
    details: str


@dataclass(frozen=True, slots=True)
class SpendingFigure:
    """The data of the figure: a row per judge, the time at work, and the figure in words."""

    rows: tuple[JudgeRow, ...]
    time: str
    description: str


def spending(result: RunRecord) -> SpendingFigure:
    """Return what the judges of a run have used, over all its runs, and how long they worked."""
    rows = tuple(_row(usage) for usage in result.usage)
    time = tr("The run worked for {time}.", time=duration(result.worked)) if result.worked else ""
    if not rows and result.progress is None:  # of a run that has not ended, a study alone does not say
        time = f"{time} {tr('No judge was called, so judging cost nothing.')}".strip()
    words = [tr("{judge}: {calls} calls, {cost}.", judge=r.judge, calls=r.calls, cost=r.cost) for r in rows]
    return SpendingFigure(rows, time, " ".join((*words, time)))


def draw_spending(data: SpendingFigure, width: float = WIDTH) -> str:
    """Return the figure as an SVG document; an empty text if nothing is known."""
    if not data.rows and not data.time:
        return ""
    most = max((row.calls + row.hits for row in data.rows), default=0)
    x = Scale(0.0, max(most, 1), 0.0, width)
    y, parts = 14.0, []
    for text in wrapped(data.time, width):
        parts.append(label(0, y, text, "label"))
        y += _LINE
    if data.rows:
        parts.append(group(_legend(y), "legend"))
        y += _LINE + 8
    for row in data.rows:
        drawn, y = _judge(row, x, y)
        parts.append(group(drawn, "judge"))
    return figure("spending", tr("Calls, cost and time"), data.description, y, parts, width=width)


def _judge(row: JudgeRow, x: Scale, y: float) -> tuple[list[ET.Element], float]:
    parts = [
        label(0, y, fitted(row.judge, 0.6 * x.end, BOLD), "label strong"),
        label(x.end, y, row.cost, "label", "end"),
    ]
    y += 6
    parts += _bar(row, x, y)
    y += _BAR + 14
    for text in wrapped(row.details, x.end):
        parts.append(label(0, y, text, "caption"))
        y += _LINE
    return parts, y + _SPACE - 6


def _bar(row: JudgeRow, x: Scale, y: float) -> Iterator[ET.Element]:
    pieces = (
        (0, row.calls, "best", tr("{n} calls", n=f"{row.calls:,}")),
        (row.calls, row.hits, "weight_0", tr("{n} from the cache", n=f"{row.hits:,}")),
    )
    for start, n, kind, text in pieces:
        if n:
            box = element(
                "rect", x=x(start), y=y, width=max(x(n) - x(0), 1.0), height=_BAR, class_="mark", title=text
            )
            yield group([box], kind)


def _legend(y: float) -> Iterator[ET.Element]:
    place = 0.0
    for kind, text in (("best", tr("calls")), ("weight_0", tr("from the cache, free"))):
        box = element("rect", x=place, y=y - 9, width=10, height=10, class_="mark")
        yield group([box], kind)
        yield label(place + 16, y, text, "caption")
        place += 110


def _row(usage: Mapping[str, Any]) -> JudgeRow:
    calls, hits, failed = usage["calls"], usage["cache_hits"], usage["failed_attempts"]
    cost = usage["cost_usd"]
    parts = [tr("{n} calls", n=f"{calls:,}"), tr("{n} from the cache", n=f"{hits:,}")]
    if batched := usage.get("calls_in_batches"):
        parts.append(tr("{n} in batches", n=f"{batched:,}"))
    if failed:
        parts.append(tr("{n} failed attempts", n=f"{failed:,}"))
    tokens = tr(
        "{input} tokens read, {output} written",
        input=f"{usage['input_tokens']:,}",
        output=f"{usage['output_tokens']:,}",
    )
    parts.append(tokens)
    if latency := usage["latency_seconds"]:
        parts.append(
            tr("{median} s a call (99%: {most} s)", median=f"{latency['p50']:g}", most=f"{latency['p99']:g}")
        )
    return JudgeRow(
        judge=usage["judge"],
        calls=calls,
        hits=hits,
        cost=tr("price not known") if cost is None else tr("{cost} USD", cost=f"{cost:,.2f}"),
        details=", ".join(parts),
    )


FIGURE = Figure(
    draw=lambda result: draw_spending(spending(result)),
    narrow=lambda result: draw_spending(spending(result), NARROW),
    heading="Calls, cost and time",
    place=0,
)
